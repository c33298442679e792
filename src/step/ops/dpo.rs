//! Direct preference optimisation: from the log-probabilities of a batch to its loss.

use super::operation::{Operation, Sizes};
use crate::step::objective::DpoSettings;

operation! {
    /// `metrics.loss += Σ w · loss(Δ)` over pairs, where `w` is the weight of a pair in the mean, and Δ the log-ratio of model to reference of
    /// its first sequence, minus that of its second: sums over labels, or with [`DpoSettings::has_means`] means. Overwrites the weight of each label by −∂loss/∂log_prob.
    Dpo {
        /// (N)
        read log_probs,
        /// The first token of each sequence of the pairs, and the end of the last (2P+1).
        read sequence_start,
        /// The log-probability of every label by the reference (N).
        read ref_log_probs,
        /// (N)
        write loss_weight,
        /// Of each sequence: the log-probability of its labels, and the same less that by the reference (2P×2).
        write sequence_log_probs,
        /// (4)
        write metrics,
        ;
        /// P: pairs of the batch.
        pairs: u32,
        /// β, and which loss.
        settings: DpoSettings,
    }
}

impl Operation for Dpo {
    fn flops(&self, sizes: &Sizes) -> u64 {
        6 * u64::from(sizes.chunk.count)
    }
}
