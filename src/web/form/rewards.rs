//! Rewards as the visitor types them: words such as `answer` or `length:20*0.5`.

use crate::error::{Error, Result};
use crate::step::GrpoSettings;
use crate::train::{RewardKind, RewardSettings, RollOutSettings};

/// What stands before the weight of a reward.
const TIMES: char = '*';

/// Reads rewards that stand in lines of their own or have spaces between them, each perhaps with `*` and a weight behind it.
///
/// # Errors
/// [`Error::Setting`] with the reward that is unknown, or if there is none.
pub fn parse(typed: &str) -> Result<Vec<RewardSettings>> {
    let rewards = typed.split_whitespace().map(reward).collect::<Result<Vec<RewardSettings>>>()?;
    match rewards.is_empty() {
        true => Err(Error::Setting("nothing says what a completion is worth; give a reward, such as answer".to_owned())),
        false => Ok(rewards),
    }
}

fn reward(word: &str) -> Result<RewardSettings> {
    let settings = match split(word) {
        Some((kind, weight)) => RewardSettings { kind: kind.parse()?, weight },
        None => RewardSettings { kind: word.parse()?, weight: 1.0 },
    };
    settings.validate()?;
    Ok(settings)
}

/// How completions are learned from at first: in small groups of short ones, after some steps on the answers themselves, without which
/// nothing would be rewarded.
pub(super) fn first_samples() -> (GrpoSettings, RollOutSettings) {
    let rewards = vec![RewardSettings { kind: RewardKind::Answer, weight: 1.0 }];
    let grpo = GrpoSettings { num_generations: 8, max_completion_length: 16, ..GrpoSettings::default() };
    (grpo, RollOutSettings { rewards, sft_steps: 60, ..RollOutSettings::default() })
}

/// The kind and the weight of a reward that has one.
fn split(word: &str) -> Option<(&str, f64)> {
    let (kind, weight) = word.rsplit_once(TIMES)?;
    Some((kind, weight.parse().ok()?))
}

/// Rewards as they would be typed.
pub fn text(rewards: &[RewardSettings]) -> String {
    let word = |RewardSettings { kind, weight }: &RewardSettings| {
        let name = name(kind)?;
        // A pattern may end as if a weight stood there.
        Some(if *weight == 1.0 && split(&name).is_none() { name } else { format!("{name}{TIMES}{weight}") })
    };
    rewards.iter().filter_map(word).collect::<Vec<String>>().join(" ")
}

/// A reward without its weight, as the program's `--rewards` takes it: without white space, which a pattern says otherwise. `None` of a
/// command, which a page does not have.
pub fn name(kind: &RewardKind) -> Option<String> {
    match kind {
        RewardKind::Answer | RewardKind::Prefix => Some(kind.name().to_owned()),
        RewardKind::Regex(pattern) => {
            let written = pattern.chars().map(|c| if c.is_whitespace() { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() });
            Some(format!("regex:{}", written.collect::<String>()))
        }
        RewardKind::Length(characters) => Some(format!("length:{characters}")),
        RewardKind::Command { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_come_back_as_they_were_typed() {
        for typed in ["answer", "answer*2 length:20*-0.5 regex:^[a-z]+$", "regex:a*b", "regex:a*2*1"] {
            assert_eq!(text(&parse(typed).unwrap()), typed);
        }
        let two = parse("answer\n  regex:a*2 ").unwrap();
        assert_eq!(two[1], RewardSettings { kind: RewardKind::Regex("a".to_owned()), weight: 2.0 });
        let spaced = [RewardSettings { kind: RewardKind::Regex("a b".to_owned()), weight: 1.0 }];
        assert_eq!(text(&spaced), "regex:a\\x20b");
    }

    #[test]
    fn what_is_no_reward_is_named() {
        let said = |typed: &str| parse(typed).unwrap_err().to_string();
        assert!(said("nice").contains("\"nice\" is unknown") && said(" ").contains("give a reward"));
        assert!(said("answer*inf").contains("weight of the reward answer") && said("length:0").contains("from 1 on"));
    }
}
