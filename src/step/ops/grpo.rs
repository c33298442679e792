//! Group relative policy optimisation: from the log-probabilities of a batch to its loss.

use super::operation::{Operation, Sizes};
use crate::step::objective::GrpoSettings;

operation! {
    /// `metrics.loss += Σ w · (policy loss + β · divergence)` over labels, where `w` is the weight of a label in the mean. Overwrites the
    /// weight of each label by −∂loss/∂log_prob.
    Grpo {
        /// (N)
        read log_probs,
        /// The first token of each sequence, and the end of the last (B+1).
        read sequence_start,
        /// Of each sequence (B).
        read advantages,
        /// The log-probability of every label by the model that sampled it (N). Without it that is the model itself.
        maybe_read old_log_probs,
        /// The log-probability of every label by the reference (N), with β.
        maybe_read ref_log_probs,
        /// (N)
        write loss_weight,
        /// Of each sequence: the sum of its divergences; how many of its labels, or with a ratio of the sequence whether itself, are clipped
        /// because the ratio is too low, and because it is too high; its labels (B×4).
        write sequence_metrics,
        /// (4)
        write metrics,
        ;
        /// B: sequences of the batch.
        sequences: u32,
        /// β, ε, and what has a ratio.
        settings: GrpoSettings,
    }
}

impl Operation for Grpo {
    fn flops(&self, sizes: &Sizes) -> u64 {
        20 * u64::from(sizes.chunk.count)
    }
}
