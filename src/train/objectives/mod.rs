//! Objectives of training: their settings, and what their steps report. What a step computes of them stands in
//! [`step::objective`](crate::step::objective).

mod dpo;
mod held_out;
mod reference;

pub use dpo::DpoMetrics;
pub use held_out::{HeldOutPairs, ScoredSequence, TokenScore};
pub use reference::{AdaptersOff, ReferenceModel, reference_log_probs};

use super::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Executor;
use crate::step::{DpoLossType, Objective};

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
            Objective::CrossEntropy => None,
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
            _ => return Ok(()),
        };
        Err(Error::Data(what.to_owned()))
    }

    /// Checks its settings.
    ///
    /// # Errors
    /// [`Error::Setting`] with the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        let Objective::Dpo(dpo) = self else { return Ok(()) };
        if !(dpo.beta > 0.0 && dpo.beta.is_finite()) {
            return Err(Error::Setting(format!("beta is {}; it must be a positive number", dpo.beta)));
        }
        if !(0.0..0.5).contains(&dpo.label_smoothing) {
            return Err(Error::Setting(format!("label smoothing is {}; it must be at least 0 and below 0.5", dpo.label_smoothing)));
        }
        if dpo.label_smoothing > 0.0 && dpo.loss_type != DpoLossType::Sigmoid {
            let name = dpo.loss_type.name();
            return Err(Error::Setting(format!("label smoothing belongs to the loss type sigmoid; leave it out with {name}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::DpoSettings;

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let of = |beta, loss_type, label_smoothing| Objective::Dpo(DpoSettings { beta, loss_type, label_smoothing }).validate();
        assert!(
            of(0.1, DpoLossType::Sigmoid, 0.4).is_ok()
                && of(2.0, DpoLossType::Ipo, 0.0).is_ok()
                && Objective::CrossEntropy.validate().is_ok()
        );
        let refused = [
            (of(0.0, DpoLossType::Hinge, 0.0), "beta is 0"),
            (of(f64::NAN, DpoLossType::Hinge, 0.0), "beta is NaN"),
            (of(0.1, DpoLossType::Sigmoid, 0.5), "label smoothing is 0.5"),
            (of(0.1, DpoLossType::Hinge, 0.1), "with hinge"),
        ];
        for (result, said) in refused {
            assert!(result.unwrap_err().to_string().contains(said), "{said}");
        }
    }
}
