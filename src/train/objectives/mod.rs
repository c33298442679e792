//! Objectives of training: their settings, and what their steps report. What a step computes of them stands in
//! [`step::objective`](crate::step::objective).

mod advantages;
mod dpo;
mod grpo;
mod held_out;
mod reference;
mod samples;

pub use advantages::{FunctionMetrics, RewardMetrics, ScaleRewards, advantages};
pub use dpo::DpoMetrics;
pub use grpo::{GrpoMetrics, sequence_metrics};
pub use held_out::{HeldOutPairs, ScoredSequence, TokenScore};
pub use reference::{AdaptersOff, ReferenceModel, reference_log_probs, with_reference};
pub use samples::{CompletionMetrics, SampleMetrics};

use super::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Executor;
use crate::step::Objective;

/// Log-probability and log-ratio of each sequence of the batch's pairs (2P×2), of a program that has run; nothing, if it compares none.
///
/// # Errors
/// Errors of the device.
pub async fn sequence_log_probs(executor: &Executor) -> Result<Vec<f32>> {
    match executor.program().bindings.pairs {
        Some(pairs) => Ok(bytemuck::pod_collect_to_vec(&executor.read(pairs.sequence_log_probs).await?)),
        None => Ok(Vec::new()),
    }
}

impl Objective {
    /// What pairs have left, if it compares these: log-probability and log-ratio of each sequence (2P×2).
    pub fn metrics(&self, sequence_log_probs: &[f32]) -> Option<DpoMetrics> {
        match self {
            Objective::CrossEntropy | Objective::Grpo(_) => None,
            Objective::Dpo(settings) => Some(DpoMetrics::of(settings, sequence_log_probs)),
        }
    }

    /// Checks that the data is what it takes: an objective of pairs needs them, and another one cannot tell the rejected sequence from the
    /// chosen one.
    ///
    /// # Errors
    /// [`Error::Data`] with what to do.
    pub fn check_data(&self, dataset: &Dataset) -> Result<()> {
        let what = match (self, dataset.has_pairs()) {
            (Objective::Dpo(_), false) => {
                "the data has no pairs of answers, which the objective dpo compares; give rows with \"chosen\" and \"rejected\""
            }
            (Objective::CrossEntropy, true) => "the data has pairs of answers, which only the objective dpo compares; choose that",
            (Objective::CrossEntropy, false) if dataset.prompts().is_some() => {
                "the data has prompts, of whose completions only the objective grpo learns; choose that"
            }
            (Objective::Grpo(_), _) if dataset.prompts().is_none() => {
                "the data has no prompts, of which the objective grpo samples completions; give a generated task, or rows with \"prompt\""
            }
            _ => return Ok(()),
        };
        Err(Error::Data(what.to_owned()))
    }

    /// Checks its settings.
    ///
    /// # Errors
    /// [`Error::Setting`] with the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        match self {
            Objective::CrossEntropy => Ok(()),
            Objective::Dpo(settings) => dpo::validate(settings),
            Objective::Grpo(settings) => grpo::validate(settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{DpoLossType, DpoSettings, GrpoSettings};

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let of = |beta, loss_type, label_smoothing| Objective::Dpo(DpoSettings { beta, loss_type, label_smoothing }).validate();
        assert!(
            of(0.1, DpoLossType::Sigmoid, 0.4).is_ok()
                && of(2.0, DpoLossType::Ipo, 0.0).is_ok()
                && Objective::CrossEntropy.validate().is_ok()
        );
        let grpo = GrpoSettings::default();
        assert!(Objective::Grpo(grpo).validate().is_ok());
        let refused = [
            (of(0.0, DpoLossType::Hinge, 0.0), "beta is 0"),
            (of(f64::NAN, DpoLossType::Hinge, 0.0), "beta is NaN"),
            (of(0.1, DpoLossType::Sigmoid, 0.5), "label smoothing is 0.5"),
            (of(0.1, DpoLossType::Hinge, 0.1), "with hinge"),
            (Objective::Grpo(GrpoSettings { beta: -1.0, ..grpo }).validate(), "beta is -1"),
            (Objective::Grpo(GrpoSettings { epsilon: 1.5, ..grpo }).validate(), "epsilon is 1.5"),
            (Objective::Grpo(GrpoSettings { epsilon_high: f64::INFINITY, ..grpo }).validate(), "epsilon high is inf"),
            (Objective::Grpo(GrpoSettings { temperature: 0.0, ..grpo }).validate(), "temperature is 0"),
            (Objective::Grpo(GrpoSettings { max_completion_length: 0, ..grpo }).validate(), "completion length"),
        ];
        for (result, said) in refused {
            assert!(result.unwrap_err().to_string().contains(said), "{said}");
        }
    }
}
