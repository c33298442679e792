//! Log-probabilities, and the gradient of the logits.

use super::operation::{Operation, Sizes};
use super::slices::VocabRange;

operation! {
    /// `log_probs[i]` = the label's log-probability; overwrites the logits with their gradient `loss_weight[i] · (softmax − onehot)`.
    CrossEntropy {
        /// (C×range)
        write logits,
        /// (N)
        read labels,
        /// (N)
        read loss_weight,
        /// Statistics over the whole vocabulary, of [`LogSumExp`](super::LogSumExp) (C×4).
        read stats,
        /// (N)
        write log_probs,
        ;
        /// The token ids of the columns of `logits`.
        range: VocabRange,
        /// What logits are divided by.
        temperature: f64,
    }
}

impl Operation for CrossEntropy {
    fn flops(&self, sizes: &Sizes) -> u64 {
        4 * sizes.chunk_elements(self.logits)
    }
}
