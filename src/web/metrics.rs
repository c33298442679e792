//! What a run has measured: as curves, and as a table for other programs.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::curve::Point;
use super::form::ObjectiveChoice;
use super::protocol::History;
use crate::train::{DpoMetrics, SampleMetrics};

/// TRL's name of the mean reward of held-out prompts.
pub const EVAL_REWARD: &str = "eval_reward";

/// A quantity that has a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The loss, and that of validation.
    Loss,
    /// The share of right answers.
    Accuracy,
    /// The reward of chosen answers.
    ChosenReward,
    /// The reward of rejected answers.
    RejectedReward,
    /// The difference of the two.
    Margin,
    /// The share of pairs whose chosen answer has the larger reward, and that of held-out pairs.
    PairAccuracy,
    /// The reward of completions, and that of held-out prompts.
    Reward,
    /// Its standard deviation.
    RewardStd,
    /// The entropy of tokens.
    Entropy,
    /// The divergence from the reference.
    Kl,
    /// The mean length of completions.
    MeanLength,
    /// The share of completions that reached the longest length.
    ClippedRatio,
    /// The gradient's norm before clipping.
    GradNorm,
    /// The learning rate.
    LearningRate,
    /// Tokens a second.
    Speed,
}

impl Quantity {
    /// All of them, in the order of the list.
    pub const ALL: [Quantity; 15] = [
        Quantity::Loss,
        Quantity::Accuracy,
        Quantity::ChosenReward,
        Quantity::RejectedReward,
        Quantity::Margin,
        Quantity::PairAccuracy,
        Quantity::Reward,
        Quantity::RewardStd,
        Quantity::Entropy,
        Quantity::Kl,
        Quantity::MeanLength,
        Quantity::ClippedRatio,
        Quantity::GradNorm,
        Quantity::LearningRate,
        Quantity::Speed,
    ];

    /// Is it measured of runs with that objective?
    pub fn is_of(self, objective: ObjectiveChoice) -> bool {
        match self {
            Quantity::Accuracy => objective == ObjectiveChoice::Sft,
            Quantity::ChosenReward | Quantity::RejectedReward | Quantity::Margin | Quantity::PairAccuracy => {
                objective == ObjectiveChoice::Dpo
            }
            Quantity::Reward | Quantity::RewardStd | Quantity::Entropy | Quantity::Kl | Quantity::MeanLength | Quantity::ClippedRatio => {
                objective == ObjectiveChoice::Grpo
            }
            Quantity::Loss | Quantity::GradNorm | Quantity::LearningRate | Quantity::Speed => true,
        }
    }

    /// The value in the page's list.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Loss => "loss",
            Quantity::Accuracy => "accuracy",
            Quantity::ChosenReward => "rewards/chosen",
            Quantity::RejectedReward => "rewards/rejected",
            Quantity::Margin => "rewards/margins",
            Quantity::PairAccuracy => "rewards/accuracies",
            Quantity::Reward => "reward",
            Quantity::RewardStd => "reward_std",
            Quantity::Entropy => "entropy",
            Quantity::Kl => "kl",
            Quantity::MeanLength => "completions/mean_length",
            Quantity::ClippedRatio => "completions/clipped_ratio",
            Quantity::GradNorm => "grad-norm",
            Quantity::LearningRate => "learning-rate",
            Quantity::Speed => "speed",
        }
    }

    /// Its values step by step; none for what only validations measure.
    pub fn of_steps(self, history: &History) -> Vec<Point> {
        let steps = history.steps.iter();
        let samples =
            |of: fn(&SampleMetrics) -> Option<f64>| history.samples.iter().filter_map(|(step, found)| Some((*step, of(found)?))).collect();
        let pairs = |of: fn(&DpoMetrics) -> f64| history.pairs.iter().map(|(step, of_pairs)| (*step, of(of_pairs))).collect();
        match self {
            Quantity::Loss => steps.map(|report| (report.step, report.loss)).collect(),
            Quantity::Accuracy => Vec::new(),
            Quantity::ChosenReward => pairs(|of_pairs| of_pairs.chosen_reward),
            Quantity::RejectedReward => pairs(|of_pairs| of_pairs.rejected_reward),
            Quantity::Margin => pairs(|of_pairs| of_pairs.margin),
            Quantity::PairAccuracy => pairs(|of_pairs| of_pairs.accuracy),
            Quantity::Reward => samples(|found| Some(found.rewards.reward)),
            Quantity::RewardStd => samples(|found| Some(found.rewards.reward_std)),
            Quantity::Entropy => samples(|found| Some(found.completions.entropy)),
            Quantity::Kl => samples(|found| found.loss.kl),
            Quantity::MeanLength => samples(|found| Some(found.completions.mean_length)),
            Quantity::ClippedRatio => samples(|found| Some(found.completions.clipped_ratio)),
            Quantity::GradNorm => steps.map(|report| (report.step, report.grad_norm)).collect(),
            Quantity::LearningRate => steps.map(|report| (report.step, report.learning_rate)).collect(),
            Quantity::Speed => steps.map(|report| (report.step, report.tokens_per_second)).collect(),
        }
    }

    /// Its values at validations.
    pub fn of_validations(self, history: &History) -> Vec<Point> {
        let validations = history.validations.iter();
        match self {
            // What is validated of completions is their reward, and no loss of its own.
            Quantity::Loss => {
                let is_loss = |loss: f64, accuracy: Option<f64>| accuracy != Some(-loss);
                validations.filter(|(_, v)| is_loss(v.loss, v.accuracy)).map(|(step, v)| (*step, v.loss)).collect()
            }
            Quantity::Accuracy | Quantity::PairAccuracy | Quantity::Reward => {
                validations.filter_map(|(step, validation)| Some((*step, validation.accuracy?))).collect()
            }
            Quantity::ChosenReward
            | Quantity::RejectedReward
            | Quantity::Margin
            | Quantity::RewardStd
            | Quantity::Entropy
            | Quantity::Kl
            | Quantity::MeanLength
            | Quantity::ClippedRatio
            | Quantity::GradNorm
            | Quantity::LearningRate
            | Quantity::Speed => Vec::new(),
        }
    }
}

/// The value in the middle of all that are given; 0 for none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// All metrics, a line for each step. Those of pairs and of completions have the names of TRL.
pub fn csv(history: &History, objective: ObjectiveChoice) -> String {
    let validated = if objective == ObjectiveChoice::Grpo { EVAL_REWARD } else { "validation_loss,accuracy" };
    let mut text = format!("step,loss,{validated},grad_norm,learning_rate,tokens,seconds,tokens_per_second,peak_bytes,flops_left_out");
    if !history.pairs.is_empty() {
        text += ",rewards/chosen,rewards/rejected,rewards/margins,rewards/accuracies,logps/chosen,logps/rejected";
    }
    let columns: Vec<String> = history.samples.first().map_or_else(Vec::new, |(_, found)| of_completions(found).keys().cloned().collect());
    columns.iter().for_each(|column| text.extend([",", column]));
    text.push('\n');
    for r in &history.steps {
        let validation = history.validations.iter().find(|(step, _)| *step == r.step).map(|(_, validation)| validation);
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let [loss, accuracy] = [validation.map(|v| v.loss), validation.and_then(|v| v.accuracy)].map(optional);
        let validated = if objective == ObjectiveChoice::Grpo { accuracy } else { format!("{loss},{accuracy}") };
        let _ = write!(
            text,
            "{},{},{validated},{},{},{},{},{},{},{}",
            r.step, r.loss, r.grad_norm, r.learning_rate, r.tokens, r.seconds, r.tokens_per_second, r.peak_bytes, r.flops_left_out
        );
        if let Some((_, p)) = history.pairs.iter().find(|(step, _)| *step == r.step) {
            let _ = write!(
                text,
                ",{},{},{},{},{},{}",
                p.chosen_reward, p.rejected_reward, p.margin, p.accuracy, p.chosen_log_prob, p.rejected_log_prob
            );
        }
        // Steps on answers have none.
        let found = history.samples.iter().find(|(step, _)| *step == r.step).map(|(_, found)| of_completions(found)).unwrap_or_default();
        columns.iter().for_each(|column| text.extend([",".to_owned(), optional(found.get(column).and_then(Value::as_f64))]));
        text.push('\n');
    }
    text
}

/// What a step has found of its completions, by the names of TRL.
fn of_completions(SampleMetrics { rewards, loss, completions }: &SampleMetrics) -> Map<String, Value> {
    let parts = [serde_json::to_value(rewards), serde_json::to_value(loss), serde_json::to_value(completions)];
    let maps = parts.into_iter().filter_map(|part| if let Ok(Value::Object(map)) = part { Some(map) } else { None });
    maps.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{StepReport, Validation};

    fn history() -> History {
        let step = |step: u64, loss: f64| StepReport {
            step,
            loss,
            grad_norm: 1.5,
            learning_rate: 0.001,
            tokens: 64,
            seconds: 0.5,
            tokens_per_second: 128.0,
            peak_bytes: 1000,
            flops_left_out: 0.25,
        };
        let validations = vec![(2, Validation { loss: 3.5, accuracy: None, accuracy_by_distance: Vec::new(), by_position: Vec::new() })];
        History { steps: vec![step(1, 5.0), step(2, 4.0)], validations, ..History::default() }
    }

    #[test]
    fn metrics_are_a_table_with_a_line_for_each_step() {
        let text = csv(&history(), ObjectiveChoice::Sft);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() == 11));
        assert_eq!(lines[2], ["2", "4", "3.5", "", "1.5", "0.001", "64", "0.5", "128", "1000", "0.25"]);
        assert_eq!(lines[1][2], "");
    }

    #[test]
    fn metrics_of_pairs_have_columns_of_their_own() {
        let mut history = history();
        history.pairs =
            vec![(1, DpoMetrics { margin: 0.5, ..DpoMetrics::default() }), (2, DpoMetrics { margin: 0.75, ..DpoMetrics::default() })];
        let text = csv(&history, ObjectiveChoice::Dpo);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert!(lines.iter().all(|line| line.len() == 17));
        let at = lines[0].iter().position(|column| *column == "rewards/margins").unwrap();
        assert_eq!([lines[1][at], lines[2][at]], ["0.5", "0.75"]);
        assert_eq!(Quantity::Margin.of_steps(&history), [(1, 0.5), (2, 0.75)]);
    }

    #[test]
    fn metrics_of_completions_have_the_names_of_trl_and_steps_on_answers_none() {
        let mut history = history();
        let mut found = SampleMetrics::default();
        (found.rewards.reward, found.completions.mean_length) = (0.25, 7.5);
        history.samples = vec![(2, found)];
        history.validations = vec![(2, Validation { loss: -0.5, accuracy: Some(0.5), ..history.validations[0].1.clone() })];
        let text = csv(&history, ObjectiveChoice::Grpo);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        for (name, values) in
            [("reward", ["", "0.25"]), ("completions/mean_length", ["", "7.5"]), (EVAL_REWARD, ["", "0.5"]), ("kl", [""; 2])]
        {
            let at = lines[0].iter().position(|column| *column == name).unwrap();
            assert_eq!([lines[1][at], lines[2][at]], values, "{name}");
        }
        assert_eq!((Quantity::Reward.of_steps(&history), Quantity::Kl.of_steps(&history)), (vec![(2, 0.25)], Vec::new()));
        assert_eq!((Quantity::Reward.of_validations(&history), Quantity::Loss.of_validations(&history)), (vec![(2, 0.5)], Vec::new()));
    }

    #[test]
    fn quantities_are_found_where_they_are_measured() {
        let history = history();
        assert_eq!(Quantity::Loss.of_steps(&history), [(1, 5.0), (2, 4.0)]);
        assert_eq!(Quantity::Loss.of_validations(&history), [(2, 3.5)]);
        assert_eq!(Quantity::Accuracy.of_validations(&history), []);
        assert_eq!(Quantity::Speed.of_steps(&history)[1], (2, 128.0));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}
