//! What a validation finds of held-out pairs.

use super::DpoMetrics;
use crate::step::{Batch, DpoSettings, IGNORED_LABEL};

/// What a validation has found of held-out pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldOutPairs {
    /// The difference of the rewards of each pair.
    pub margins: Vec<f64>,
    /// The chosen and the rejected sequence of the first pair.
    pub first: [ScoredSequence; 2],
}

/// A sequence, and what the model finds of its tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoredSequence {
    /// Its tokens. The last of them is only a label.
    pub ids: Vec<u32>,
    /// What is found of each of them; nothing, where it is no label.
    pub scores: Vec<Option<TokenScore>>,
}

/// What is found of a token as a label.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenScore {
    /// Its log-probability.
    pub log_prob: f32,
    /// The same, less that by the reference.
    pub log_ratio: f32,
    /// Its weight in the gradient of its pair: −∂loss/∂log-probability.
    pub weight: f32,
}

impl HeldOutPairs {
    /// The margins of pairs, by log-probability and log-ratio of each of their sequences (2P×2).
    pub fn set_margins(&mut self, settings: &DpoSettings, sequence_log_probs: &[f32]) {
        self.margins = sequence_log_probs.chunks_exact(4).map(|pair| DpoMetrics::of(settings, pair).margin).collect();
    }

    /// Looks at the first pair of a batch. `weights` has the weight of each token in the gradient of `pairs` pairs.
    pub fn look(&mut self, batch: &Batch, log_probs: &[f32], weights: &[f32], pairs: u64) {
        let mut start = 0;
        for (sequence, &length) in self.first.iter_mut().zip(batch.shape.lengths()) {
            let end = start + length as usize;
            let last = batch.labels[end - 1];
            sequence.ids =
                batch.input_ids[start..end].iter().copied().chain([last].into_iter().filter(|&id| id != IGNORED_LABEL)).collect();
            let score = |i: usize| {
                let log_ratio = log_probs[i] - batch.ref_log_probs[i];
                (batch.labels[i] != IGNORED_LABEL).then_some(TokenScore {
                    log_prob: log_probs[i],
                    log_ratio,
                    weight: weights[i] * pairs as f32,
                })
            };
            // Of the first token nothing is asked.
            sequence.scores = [None].into_iter().chain((start..end).map(score)).take(sequence.ids.len()).collect();
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_what_was_found_where_it_is_the_label() {
        let no = IGNORED_LABEL;
        let sequences = vec![(vec![1, 2, 3], vec![no, 3, 4]), (vec![1, 2], vec![no, 9]), (vec![0], vec![no])];
        let batch = Batch::new(sequences).in_pairs(1, vec![0.0, -1.0, -2.0, 0.0, -3.0, 0.0]);
        let mut found = HeldOutPairs::default();
        found.look(&batch, &[0.0, -0.5, -2.5, 0.0, -4.0, 0.0], &[0.0, 0.25, 0.25, 0.0, -0.25, 0.0], 2);
        let score = |log_prob, log_ratio, weight| Some(TokenScore { log_prob, log_ratio, weight });
        let chosen = ScoredSequence { ids: vec![1, 2, 3, 4], scores: vec![None, None, score(-0.5, 0.5, 0.5), score(-2.5, -0.5, 0.5)] };
        let rejected = ScoredSequence { ids: vec![1, 2, 9], scores: vec![None, None, score(-4.0, -1.0, -0.5)] };
        assert_eq!(found.first, [chosen, rejected]);
        found.set_margins(&DpoSettings { beta: 0.5, ..DpoSettings::default() }, &[-9.0, 3.0, -9.0, 1.0, -9.0, 0.0, -9.0, 4.0]);
        assert_eq!(found.margins, [1.0, -2.0]);
    }
}
