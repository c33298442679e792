//! The sum of the loss.

use super::operation::{Operation, Sizes};

operation! {
    /// `metrics.loss += −Σ loss_weight[i] · log_probs[i]`.
    Loss {
        /// (N)
        read log_probs,
        /// (N)
        read loss_weight,
        /// (4)
        write metrics,
    }
}

impl Operation for Loss {
    fn flops(&self, sizes: &Sizes) -> u64 {
        2 * u64::from(sizes.chunk.count)
    }
}
