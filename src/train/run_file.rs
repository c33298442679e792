//! The files of a run's directory beside its checkpoint: how the run was started, and what it has done.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CompletionMetrics, DpoMetrics, GrpoMetrics, PreferencesTask, RewardMetrics, SampleMetrics, StepReport, Task, Validation};

pub use crate::model::archive::CHECKPOINT;

/// How the run was started: a [`RunFile`] as JSON.
pub const RUN: &str = "run.json";
/// What the run has done: a line of [`Metrics`] as JSON for each step.
pub const METRICS: &str = "metrics.jsonl";

/// Steps between validations, unless others are given.
pub const VALIDATION_INTERVAL: u64 = 50;
/// The distance of a generated task's answers in tokens, unless another is given.
pub const TASK_DISTANCE: u32 = 64;

/// The data that is this project's own text.
pub const OWN: &str = "own";

/// Is the data of a run a text of its user's, and not one that is made up?
pub fn is_given_text(data: &str) -> bool {
    data != OWN && !Task::NAMES.contains(&data) && !PreferencesTask::NAMES.contains(&data)
}

/// How a run was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The arguments of `streambp train` that make the run, as `--name=value`, or `--name` for a switch. A relative path that lies in the
    /// run's directory is meant there.
    pub arguments: Vec<String>,
    /// When the run's text was written, in seconds since 1970: a chat template may write the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

impl RunFile {
    /// The value of an option. Of a list that is given in parts, it is the first part.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.arguments.iter().map(|argument| parts(argument)).find(|(name, _)| *name == option)?.1
    }

    /// The file as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("arguments are plain data")
    }
}

/// The name and the value of an argument of a [`RunFile`].
pub fn parts(argument: &str) -> (&str, Option<&str>) {
    let argument = argument.strip_prefix("--").unwrap_or(argument);
    argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)))
}

/// What a step did, with the validation that followed it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// The step.
    #[serde(flatten)]
    pub report: StepReport,
    /// What it found of its pairs, if the objective compares these.
    #[serde(flatten)]
    pub of_pairs: Option<DpoMetrics>,
    /// What it found of rewards, if the objective learns from these.
    #[serde(flatten)]
    pub of_rewards: Option<RewardMetrics>,
    /// What it found of its loss then.
    #[serde(flatten)]
    pub of_samples: Option<GrpoMetrics>,
    /// What it found of its completions then.
    #[serde(flatten)]
    pub of_completions: Option<CompletionMetrics>,
    /// The validation, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

impl Metrics {
    /// Those of a step.
    pub fn new(
        report: StepReport,
        of_pairs: Option<DpoMetrics>,
        samples: Option<SampleMetrics>,
        validation: Option<Validation>,
    ) -> Metrics {
        let (of_rewards, of_samples, of_completions) = match samples {
            Some(SampleMetrics { rewards, loss, completions }) => (Some(rewards), Some(loss), Some(completions)),
            None => (None, None, None),
        };
        Metrics { report, of_pairs, of_rewards, of_samples, of_completions, validation }
    }

    /// What it found of its completions, if it learned from rewards.
    pub fn samples(&self) -> Option<SampleMetrics> {
        let (rewards, loss) = (self.of_rewards.clone()?, self.of_samples?);
        Some(SampleMetrics { rewards, loss, completions: self.of_completions? })
    }

    /// One line of JSON, with its end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("numbers are plain data") + "\n"
    }

    /// Reads the lines of a run that has done so many steps. What was written after its checkpoint, and what is damaged, is left out: a run
    /// goes on without.
    pub fn read(lines: &str, steps: u64) -> Vec<Metrics> {
        let read = |line: &str| {
            let mut line: Value = serde_json::from_str(line).ok()?;
            // A perplexity that is not finite cannot be written as JSON.
            let validation = line.get_mut("validation").and_then(|validation| serde_json::from_value(validation.take()).ok());
            Some(Metrics {
                report: StepReport::deserialize(&line).ok()?,
                of_pairs: DpoMetrics::deserialize(&line).ok(),
                of_rewards: RewardMetrics::deserialize(&line).ok(),
                of_samples: GrpoMetrics::deserialize(&line).ok(),
                of_completions: CompletionMetrics::deserialize(&line).ok(),
                validation,
            })
        };
        lines.lines().filter_map(read).filter(|metrics| metrics.report.step <= steps).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::LossAtPositions;

    fn metrics(step: u64, perplexity: f64) -> Metrics {
        let [loss, grad_norm, learning_rate, seconds, tokens_per_second] = [0.1 + 0.2, 1.0 / 3.0, 3e-3, 0.5, 128.0];
        let by_position = vec![LossAtPositions { from: 1, to: 1, loss, perplexity, labels: 4 }];
        let report = StepReport {
            step,
            loss,
            grad_norm,
            learning_rate,
            tokens: 64,
            seconds,
            tokens_per_second,
            peak_bytes: 9,
            flops_left_out: 0.25,
        };
        let of_pairs = (step == 1).then(|| DpoMetrics { margin: 1.0 / 7.0, ..DpoMetrics::default() });
        let validation = (step == 2).then_some(Validation { loss, accuracy: None, accuracy_by_distance: Vec::new(), by_position });
        let samples = (step == 3).then(SampleMetrics::default);
        Metrics::new(report, of_pairs, samples, validation)
    }

    #[test]
    fn metrics_come_back_to_the_bit_without_what_is_damaged_or_later() {
        let lines: String = (1..=4).map(|step| metrics(step, 7.0).to_line()).collect();
        assert_eq!(Metrics::read(&lines, 3), [1, 2, 3].map(|step| metrics(step, 7.0)));
        let cut = &lines[..lines.len() - 9];
        assert_eq!(Metrics::read(cut, 9).len(), 3);
        let infinite = Metrics::read(&metrics(2, f64::INFINITY).to_line(), 2);
        assert_eq!((infinite[0].report, &infinite[0].validation), (metrics(2, 7.0).report, &None));
    }

    #[test]
    fn options_are_found_by_name() {
        let arguments = ["--data=a=b", "--offload", "--val-every=3"].map(str::to_owned).to_vec();
        let file = RunFile { arguments, written: None };
        assert_eq!(["data", "offload", "val-every", "val"].map(|name| file.value(name)), [Some("a=b"), None, Some("3"), None]);
        assert_eq!(serde_json::from_str::<RunFile>(&file.to_json()).unwrap(), file);
    }
}
