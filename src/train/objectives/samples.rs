//! What a step that learns from rewards reports of its completions.

use super::{GrpoMetrics, RewardMetrics};
use crate::step::GrpoSettings;
use crate::train::round::{Completion, Round};

/// The metrics of a step.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SampleMetrics {
    /// Of the rewards.
    pub rewards: RewardMetrics,
    /// Of the loss.
    pub loss: GrpoMetrics,
    /// Of lengths and likelihood.
    pub completions: CompletionMetrics,
}

/// What a step finds of the lengths of its completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CompletionMetrics {
    /// The mean over tokens of −log π when they were sampled: of tokens that are drawn from the model as it is, an unbiased estimate of its
    /// entropy, in nats.
    pub entropy: f64,
    /// The mean length in tokens.
    #[serde(rename = "completions/mean_length")]
    pub mean_length: f64,
    /// The shortest length.
    #[serde(rename = "completions/min_length")]
    pub min_length: u32,
    /// The longest length.
    #[serde(rename = "completions/max_length")]
    pub max_length: u32,
    /// The share that reached the longest length without ending.
    #[serde(rename = "completions/clipped_ratio")]
    pub clipped_ratio: f64,
    /// The mean length of those that ended; 0 if none did.
    #[serde(rename = "completions/mean_terminated_length")]
    pub mean_terminated_length: f64,
}

impl SampleMetrics {
    /// Of a round, and of what the sequences of a step have left (B×4). Nothing, if its completions were not sampled.
    pub fn of(settings: &GrpoSettings, round: &Round, sequence_metrics: &[f32]) -> Option<SampleMetrics> {
        Some(SampleMetrics {
            rewards: round.rewards.clone()?,
            loss: GrpoMetrics::of(settings, sequence_metrics),
            completions: CompletionMetrics::of(&round.completions),
        })
    }
}

impl CompletionMetrics {
    fn of(completions: &[Completion]) -> CompletionMetrics {
        let lengths = || completions.iter().map(|completion| completion.ids.len() as u32);
        let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
        let ended: Vec<f64> = completions.iter().filter(|completion| completion.is_ended).map(|c| c.ids.len() as f64).collect();
        let tokens = lengths().sum::<u32>();
        CompletionMetrics {
            entropy: mean(-completions.iter().map(|completion| completion.log_prob).sum::<f64>(), tokens as usize),
            mean_length: mean(tokens.into(), completions.len()),
            min_length: lengths().min().unwrap_or_default(),
            max_length: lengths().max().unwrap_or_default(),
            clipped_ratio: mean((completions.len() - ended.len()) as f64, completions.len()),
            mean_terminated_length: mean(ended.iter().sum(), ended.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_all_and_of_the_ended() {
        let of = |tokens: usize, is_ended| Completion {
            ids: vec![1; tokens],
            is_ended,
            log_prob: -0.5 * tokens as f64,
            ..Completion::default()
        };
        let found = CompletionMetrics::of(&[of(2, true), of(8, false), of(4, true), of(8, false)]);
        let wanted = CompletionMetrics {
            entropy: 0.5,
            mean_length: 5.5,
            min_length: 2,
            max_length: 8,
            clipped_ratio: 0.5,
            mean_terminated_length: 3.0,
        };
        assert_eq!(found, wanted);
        assert_eq!(CompletionMetrics::of(&[]), CompletionMetrics::default());
    }
}
