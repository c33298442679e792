//! Which rewards a run gives.

use std::str::FromStr;

use crate::error::{Error, Result};

/// A reward function, and what it counts.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RewardSettings {
    /// The function.
    pub kind: RewardKind,
    /// What its reward is multiplied by in the sum of all.
    pub weight: f64,
}

/// A reward function.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// 1 if the completion is what the row's column `answer` says, white space around both apart; otherwise 0.
    Answer,
    /// The share of the characters of the answer that the completion has right from its start, before it has one wrong: where whole answers
    /// are rare, it tells better completions from worse ones.
    Prefix,
    /// 1 if the pattern matches anywhere in the completion, otherwise 0.
    Regex(String),
    /// `1 − min(1, |characters − N| / N)`: 1 for a completion of N characters, 0 for an empty one and from 2N on. N is 1 or more.
    Length(u32),
    /// What a command of the system's shell prints. A page cannot run one.
    Command {
        /// The command.
        line: String,
        /// Seconds that it may take each time.
        timeout: u64,
    },
}

impl RewardKind {
    /// The name in metrics: `rewards/{name}/mean`.
    pub fn name(&self) -> &'static str {
        match self {
            RewardKind::Answer => "answer",
            RewardKind::Prefix => "prefix",
            RewardKind::Regex(_) => "regex",
            RewardKind::Length(_) => "length",
            RewardKind::Command { .. } => "command",
        }
    }
}

const NO_PATTERN: &str = "has no pattern; give one, as regex:[0-9]+";

/// Reads `answer`, `prefix`, `regex:PATTERN` or `length:N`.
impl FromStr for RewardKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |why: &str| Err(Error::Setting(format!("the reward \"{text}\" {why}")));
        match text.split_once(':') {
            None if text == "answer" => Ok(RewardKind::Answer),
            None if text == "prefix" => Ok(RewardKind::Prefix),
            None if text == "regex" => refused(NO_PATTERN),
            Some(("regex", "")) => refused(NO_PATTERN),
            Some(("regex", pattern)) => Ok(RewardKind::Regex(pattern.to_owned())),
            Some(("length", count)) => match count.parse() {
                Ok(characters @ 1..) => Ok(RewardKind::Length(characters)),
                _ => refused("has no number of characters; give one from 1 on, as length:200"),
            },
            _ => refused("is unknown; there are answer, prefix, regex:PATTERN and length:N"),
        }
    }
}

impl RewardSettings {
    /// Checks the weight.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no number.
    pub fn validate(&self) -> Result<()> {
        match self.weight.is_finite() {
            true => Ok(()),
            false => Err(Error::Setting(format!("the weight of the reward {} is {}; give a number", self.kind.name(), self.weight))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_read_from_text() {
        assert_eq!("answer".parse::<RewardKind>().unwrap(), RewardKind::Answer);
        assert_eq!("prefix".parse::<RewardKind>().unwrap(), RewardKind::Prefix);
        assert_eq!("regex:^a:b,c".parse::<RewardKind>().unwrap(), RewardKind::Regex("^a:b,c".to_owned()));
        assert_eq!("length:20".parse::<RewardKind>().unwrap(), RewardKind::Length(20));
        for (text, said) in [
            ("regex:", "has no pattern"),
            ("regex", "has no pattern"),
            ("length:0", "from 1 on"),
            ("length:many", "from 1 on"),
            ("length", "is unknown"),
            ("accuracy", "there are answer, prefix, regex:PATTERN and length:N"),
        ] {
            let found = text.parse::<RewardKind>().unwrap_err().to_string();
            assert!(found.contains(said) && found.contains(text), "{found}");
        }
    }

    #[test]
    fn a_weight_is_a_number() {
        let of = |weight| RewardSettings { kind: RewardKind::Answer, weight }.validate();
        assert!(of(-0.5).is_ok() && of(f64::NAN).unwrap_err().to_string().contains("weight of the reward answer is NaN"));
    }
}
