//! What a run has measured: as curves, and as a table for other programs.

use std::fmt::Write;

use super::curve::Point;
use super::protocol::History;
use crate::train::DpoMetrics;

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
    /// The gradient's norm before clipping.
    GradNorm,
    /// The learning rate.
    LearningRate,
    /// Tokens a second.
    Speed,
}

impl Quantity {
    /// All of them, in the order of the list.
    pub const ALL: [Quantity; 9] = [
        Quantity::Loss,
        Quantity::Accuracy,
        Quantity::ChosenReward,
        Quantity::RejectedReward,
        Quantity::Margin,
        Quantity::PairAccuracy,
        Quantity::GradNorm,
        Quantity::LearningRate,
        Quantity::Speed,
    ];

    /// Is it measured of runs on pairs, or of others? `None` if of all.
    pub fn of_pairs(self) -> Option<bool> {
        match self {
            Quantity::ChosenReward | Quantity::RejectedReward | Quantity::Margin | Quantity::PairAccuracy => Some(true),
            Quantity::Accuracy => Some(false),
            Quantity::Loss | Quantity::GradNorm | Quantity::LearningRate | Quantity::Speed => None,
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
            Quantity::GradNorm => "grad-norm",
            Quantity::LearningRate => "learning-rate",
            Quantity::Speed => "speed",
        }
    }

    /// Its values step by step; none for what only validations measure.
    pub fn of_steps(self, history: &History) -> Vec<Point> {
        let steps = history.steps.iter();
        let pairs = |of: fn(&DpoMetrics) -> f64| history.pairs.iter().map(|(step, of_pairs)| (*step, of(of_pairs))).collect();
        match self {
            Quantity::Loss => steps.map(|report| (report.step, report.loss)).collect(),
            Quantity::Accuracy => Vec::new(),
            Quantity::ChosenReward => pairs(|of_pairs| of_pairs.chosen_reward),
            Quantity::RejectedReward => pairs(|of_pairs| of_pairs.rejected_reward),
            Quantity::Margin => pairs(|of_pairs| of_pairs.margin),
            Quantity::PairAccuracy => pairs(|of_pairs| of_pairs.accuracy),
            Quantity::GradNorm => steps.map(|report| (report.step, report.grad_norm)).collect(),
            Quantity::LearningRate => steps.map(|report| (report.step, report.learning_rate)).collect(),
            Quantity::Speed => steps.map(|report| (report.step, report.tokens_per_second)).collect(),
        }
    }

    /// Its values at validations.
    pub fn of_validations(self, history: &History) -> Vec<Point> {
        let validations = history.validations.iter();
        match self {
            Quantity::Loss => validations.map(|(step, validation)| (*step, validation.loss)).collect(),
            Quantity::Accuracy | Quantity::PairAccuracy => {
                validations.filter_map(|(step, validation)| Some((*step, validation.accuracy?))).collect()
            }
            Quantity::ChosenReward
            | Quantity::RejectedReward
            | Quantity::Margin
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

/// All metrics, a line for each step. Those of pairs have the names of TRL.
pub fn csv(history: &History) -> String {
    let mut text =
        "step,loss,validation_loss,accuracy,grad_norm,learning_rate,tokens,seconds,tokens_per_second,peak_bytes,flops_left_out".to_owned();
    if !history.pairs.is_empty() {
        text += ",rewards/chosen,rewards/rejected,rewards/margins,rewards/accuracies,logps/chosen,logps/rejected";
    }
    text.push('\n');
    for r in &history.steps {
        let validation = history.validations.iter().find(|(step, _)| *step == r.step).map(|(_, validation)| validation);
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let [loss, accuracy] = [validation.map(|v| v.loss), validation.and_then(|v| v.accuracy)].map(optional);
        let _ = write!(
            text,
            "{},{},{loss},{accuracy},{},{},{},{},{},{},{}",
            r.step, r.loss, r.grad_norm, r.learning_rate, r.tokens, r.seconds, r.tokens_per_second, r.peak_bytes, r.flops_left_out
        );
        if let Some((_, p)) = history.pairs.iter().find(|(step, _)| *step == r.step) {
            let _ = write!(
                text,
                ",{},{},{},{},{},{}",
                p.chosen_reward, p.rejected_reward, p.margin, p.accuracy, p.chosen_log_prob, p.rejected_log_prob
            );
        }
        text.push('\n');
    }
    text
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
        let text = csv(&history());
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
        let text = csv(&history);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert!(lines.iter().all(|line| line.len() == 17));
        let at = lines[0].iter().position(|column| *column == "rewards/margins").unwrap();
        assert_eq!([lines[1][at], lines[2][at]], ["0.5", "0.75"]);
        assert_eq!(Quantity::Margin.of_steps(&history), [(1, 0.5), (2, 0.75)]);
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
