//! What a step of group relative policy optimisation reports.

use crate::error::{Error, Result};
use crate::gpu::Executor;
use crate::step::{GrpoSettings, ImportanceSamplingLevel};

/// The metrics of a step, with TRL's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GrpoMetrics {
    /// The mean divergence of a token from the reference, if there is one.
    pub kl: Option<f64>,
    /// The share of tokens, or with a ratio of the sequence of sequences, whose loss is clipped because the ratio is too low.
    #[serde(rename = "clip_ratio/low_mean")]
    pub clipped_low: f64,
    /// The same because it is too high.
    #[serde(rename = "clip_ratio/high_mean")]
    pub clipped_high: f64,
    /// Both.
    #[serde(rename = "clip_ratio/region_mean")]
    pub clipped: f64,
}

impl GrpoMetrics {
    /// Of what the sequences have left (B×4): see [`Grpo`](crate::step::ops::Grpo).
    pub fn of(settings: &GrpoSettings, sequence_metrics: &[f32]) -> GrpoMetrics {
        let sequences = sequence_metrics.chunks_exact(4);
        let count = sequences.len() as f64;
        let sum = |place: usize| sequences.clone().map(|of_sequence| f64::from(of_sequence[place])).sum::<f64>();
        let labels = sum(3).max(1.0);
        let all = if settings.importance_sampling_level == ImportanceSamplingLevel::Token { labels } else { count.max(1.0) };
        let [low, high] = [1, 2].map(|place| sum(place) / all);
        GrpoMetrics { kl: settings.has_reference().then(|| sum(0) / labels), clipped_low: low, clipped_high: high, clipped: low + high }
    }
}

/// What the sequences of a batch have left (B×4), of a program that has run; nothing, if they are no sampled completions.
///
/// # Errors
/// Errors of the device.
pub async fn sequence_metrics(executor: &Executor) -> Result<Vec<f32>> {
    match executor.program().bindings.samples {
        Some(samples) => Ok(bytemuck::pod_collect_to_vec(&executor.read(samples.sequence_metrics).await?)),
        None => Ok(Vec::new()),
    }
}

/// Checks the settings.
///
/// # Errors
/// [`Error::Setting`] with the setting and what it may be.
pub(super) fn validate(grpo: &GrpoSettings) -> Result<()> {
    let refuse = |name: &str, value: f64, may_be: &str| Err(Error::Setting(format!("{name} is {value}; it must be {may_be}")));
    if !(grpo.beta >= 0.0 && grpo.beta.is_finite()) {
        return refuse("beta", grpo.beta, "0, or a positive number");
    }
    if !(0.0..=1.0).contains(&grpo.epsilon) {
        return refuse("epsilon", grpo.epsilon, "from 0 to 1");
    }
    if !(grpo.epsilon_high >= 0.0 && grpo.epsilon_high.is_finite()) {
        return refuse("epsilon high", grpo.epsilon_high, "0, or a positive number");
    }
    if !(grpo.temperature > 0.0 && grpo.temperature.is_finite()) {
        return refuse("temperature", grpo.temperature, "a positive number");
    }
    match grpo.max_completion_length {
        0 => Err(Error::Setting("the longest completion length must be 1 or more".to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_means_over_labels_or_sequences() {
        let found = [0.5, 1.0, 0.0, 4.0, 1.5, 0.0, 2.0, 6.0];
        let of_tokens = GrpoMetrics::of(&GrpoSettings { beta: 0.1, ..GrpoSettings::default() }, &found);
        assert_eq!(of_tokens, GrpoMetrics { kl: Some(0.2), clipped_low: 0.1, clipped_high: 0.2, clipped: 0.1 + 0.2 });
        let by_sequence = GrpoSettings { importance_sampling_level: ImportanceSamplingLevel::Sequence, ..GrpoSettings::default() };
        let of_sequences = GrpoMetrics::of(&by_sequence, &[0.0, 1.0, 0.0, 4.0, 0.0, 0.0, 0.0, 6.0]);
        assert_eq!(of_sequences, GrpoMetrics { kl: None, clipped_low: 0.5, clipped_high: 0.0, clipped: 0.5 });
        assert_eq!(serde_json::to_value(of_tokens).unwrap()["clip_ratio/low_mean"], 0.1);
    }
}
