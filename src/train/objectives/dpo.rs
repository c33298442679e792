//! What a step of direct preference optimisation reports.

use crate::error::{Error, Result};
use crate::step::{DpoLossType, DpoSettings};

/// The metrics of a step, with TRL's names: means over its pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DpoMetrics {
    /// β times the log-ratio of model to reference of the chosen sequence.
    #[serde(rename = "rewards/chosen")]
    pub chosen_reward: f64,
    /// The same of the rejected one.
    #[serde(rename = "rewards/rejected")]
    pub rejected_reward: f64,
    /// The first less the second.
    #[serde(rename = "rewards/margins")]
    pub margin: f64,
    /// The share of pairs whose chosen sequence has the larger reward.
    #[serde(rename = "rewards/accuracies")]
    pub accuracy: f64,
    /// The log-probability of the chosen sequence.
    #[serde(rename = "logps/chosen")]
    pub chosen_log_prob: f64,
    /// The same of the rejected one.
    #[serde(rename = "logps/rejected")]
    pub rejected_log_prob: f64,
}

impl DpoMetrics {
    /// Of what the pairs have left: log-probability and log-ratio of each sequence (2P×2), chosen and rejected in turn. Zero without pairs.
    pub fn of(settings: &DpoSettings, sequence_log_probs: &[f32]) -> DpoMetrics {
        let pairs = sequence_log_probs.chunks_exact(4);
        let count = pairs.len().max(1) as f64;
        let mut sum = DpoMetrics::default();
        for pair in pairs {
            let [chosen, chosen_ratio, rejected, rejected_ratio] = [0, 1, 2, 3].map(|i| f64::from(pair[i]));
            let [chosen_reward, rejected_reward] = [chosen_ratio, rejected_ratio].map(|ratio| settings.beta * ratio);
            sum.chosen_reward += chosen_reward / count;
            sum.rejected_reward += rejected_reward / count;
            sum.margin += (chosen_reward - rejected_reward) / count;
            sum.accuracy += f64::from(u8::from(chosen_reward > rejected_reward)) / count;
            sum.chosen_log_prob += chosen / count;
            sum.rejected_log_prob += rejected / count;
        }
        sum
    }
}

/// Checks the settings.
///
/// # Errors
/// [`Error::Setting`] with the setting and what it may be.
pub(super) fn validate(dpo: &DpoSettings) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_means_over_pairs() {
        let settings = DpoSettings { beta: 0.5, ..DpoSettings::default() };
        let found = DpoMetrics::of(&settings, &[-10.0, 2.0, -20.0, -4.0, -30.0, 1.0, -40.0, 1.0]);
        let expected = DpoMetrics {
            chosen_reward: 0.75,
            rejected_reward: -0.75,
            margin: 1.5,
            accuracy: 0.5,
            chosen_log_prob: -20.0,
            rejected_log_prob: -30.0,
        };
        assert_eq!(found, expected);
        assert_eq!(serde_json::to_value(found).unwrap()["rewards/margins"], 1.5);
        assert_eq!(DpoMetrics::of(&settings, &[]), DpoMetrics::default());
    }
}
