//! Options of rewards.

use clap::Args;
use streambp::error::{Error, Result};
use streambp::step::Objective;
use streambp::train::run_file::is_given_text;
use streambp::train::{RewardKind, RewardSettings, Rewards};

use crate::options::refuse_given;

/// Seconds that a reward command may take, unless others are given.
const TIMEOUT: u64 = 60;

/// Options of what a completion is worth.
#[derive(Args)]
pub struct RewardOptions {
    /// Rewards of a completion (for grpo): answer (is it what the column `answer` says?), prefix (how
    /// much of that has it right from its start?), regex:PATTERN (does the pattern match in it?),
    /// length:N (how near is it to N characters?) [default for generated tasks: answer]
    #[arg(long, num_args = 1.., value_name = "REWARD")]
    rewards: Vec<RewardKind>,
    /// What each reward is multiplied by, that of --reward-command last (for grpo) [default: 1 each]
    #[arg(long, num_args = 1.., value_delimiter = ',', allow_negative_numbers = true, value_name = "WEIGHT")]
    reward_weights: Vec<f64>,
    /// Command that scores completions (for grpo): it reads a line of JSON for each prompt, with its `completions`, and prints a number for
    /// each completion
    #[arg(long, value_name = "COMMAND")]
    reward_command: Option<String>,
    /// Seconds that the command may take for the completions of a step (for grpo) [default: 60]
    #[arg(long, value_name = "SECONDS")]
    reward_timeout: Option<u64>,
}

impl RewardOptions {
    /// Checks them before anything takes time.
    ///
    /// # Errors
    /// As [`RewardOptions::settings`], and with a pattern that is malformed; if the objective rewards nothing, with the first option that is
    /// given.
    pub fn check(&self, objective: Objective, data: &str) -> Result<()> {
        match objective {
            Objective::CrossEntropy | Objective::Dpo(_) => self.refuse(),
            Objective::Grpo(_) => Rewards::new(&self.settings(data)?).map(drop),
        }
    }

    fn refuse(&self) -> Result<()> {
        let given = [
            ("--rewards", !self.rewards.is_empty()),
            ("--reward-weights", !self.reward_weights.is_empty()),
            ("--reward-command", self.reward_command.is_some()),
            ("--reward-timeout", self.reward_timeout.is_some()),
        ];
        refuse_given("grpo", &given)
    }

    /// The rewards of a run on that data.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none, if there are not as many weights, or with a time limit of nothing.
    pub fn settings(&self, data: &str) -> Result<Vec<RewardSettings>> {
        let timeout = self.reward_timeout.unwrap_or(TIMEOUT);
        let command = self.reward_command.iter().map(|line| RewardKind::Command { line: line.clone(), timeout });
        let mut kinds: Vec<RewardKind> = self.rewards.iter().cloned().chain(command).collect();
        if self.reward_timeout.is_some() && self.reward_command.is_none() {
            return Err(Error::Setting("--reward-timeout limits --reward-command; add that, or leave it out".to_owned()));
        }
        // A generated task has answers to compare with.
        if kinds.is_empty() && !is_given_text(data) {
            kinds.push(RewardKind::Answer);
        }
        if kinds.is_empty() {
            return Err(Error::Setting(format!(
                "nothing says what a completion of {data} is worth; give --rewards answer or prefix (the rows then need a column \"answer\"), --rewards regex:PATTERN, --rewards length:N or --reward-command COMMAND"
            )));
        }
        let weights = match self.reward_weights.is_empty() {
            true => vec![1.0; kinds.len()],
            false => self.reward_weights.clone(),
        };
        if weights.len() != kinds.len() {
            let names = kinds.iter().map(RewardKind::name).collect::<Vec<&str>>().join(", ");
            return Err(Error::Setting(format!(
                "--reward-weights has {} weights for {} rewards ({names}); give one for each",
                weights.len(),
                kinds.len()
            )));
        }
        Ok(kinds.into_iter().zip(weights).map(|(kind, weight)| RewardSettings { kind, weight }).collect())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        rewards: RewardOptions,
    }

    fn options(words: &[&str]) -> RewardOptions {
        Line::try_parse_from([&["train"], words].concat()).unwrap().rewards
    }

    #[test]
    fn rewards_come_with_their_weights_and_the_command_last() {
        let given = options(&["--rewards", "answer", "regex:a,b", "--reward-command", "score", "--reward-weights", "1", "-0.5", "2"]);
        let found = given.settings("rows.jsonl").unwrap();
        let expected = [
            (RewardKind::Answer, 1.0),
            (RewardKind::Regex("a,b".to_owned()), -0.5),
            (RewardKind::Command { line: "score".to_owned(), timeout: 60 }, 2.0),
        ];
        assert_eq!(found, expected.map(|(kind, weight)| RewardSettings { kind, weight }));
        let twice = options(&["--rewards", "answer", "--rewards", "length:9"]).settings("rows.jsonl").unwrap();
        assert_eq!(twice.iter().map(|one| one.kind.name()).collect::<Vec<_>>(), ["answer", "length"]);
        // As the file of a run has them.
        let again = options(&["--rewards=answer", "--rewards=regex:a,b", "--reward-weights=-0.5,2"]).settings("rows.jsonl").unwrap();
        assert_eq!(again.iter().map(|one| one.weight).collect::<Vec<_>>(), [-0.5, 2.0]);
        assert_eq!(again[1].kind, RewardKind::Regex("a,b".to_owned()));
        assert_eq!(options(&[]).settings("sort").unwrap(), [RewardSettings { kind: RewardKind::Answer, weight: 1.0 }]);
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        let said = |words: &[&str]| options(words).settings("rows.jsonl").unwrap_err().to_string();
        assert!(said(&[]).contains("of rows.jsonl is worth; give --rewards answer"));
        assert!(said(&["--rewards", "answer", "--reward-timeout", "3"]).contains("--reward-timeout limits --reward-command"));
        assert!(said(&["--rewards", "answer", "--reward-weights", "1", "2"]).contains("2 weights for 1 rewards (answer)"));
        let given = options(&["--reward-command", "score"]).refuse().unwrap_err().to_string();
        assert!(given.contains("--reward-command belongs to --objective grpo") && options(&[]).refuse().is_ok());
        let unknown = Line::try_parse_from(["train", "--rewards", "nice"]).err().unwrap().to_string();
        assert!(unknown.contains("there are answer, prefix, regex:PATTERN and length:N"), "{unknown}");
    }
}
