//! Log-probabilities, and the gradient of the logits.

use super::operation::{Operation, Sizes};
use super::slices::VocabRange;

operation! {
    /// `log_probs[i]` = the label's log-probability; the logits are overwritten by `loss_weight[i] · (softmax − onehot)`.
    CrossEntropy {
        /// (C×range)
        write logits,
        /// (N)
        read labels,
        /// (N)
        read loss_weight,
        /// (C×4), over the whole vocabulary.
        read stats,
        /// (N)
        write log_probs,
        ;
        /// The tokens whose logits these are.
        range: VocabRange,
    }
}

impl Operation for CrossEntropy {
    fn flops(&self, sizes: &Sizes) -> u64 {
        4 * sizes.chunk_elements(self.logits)
    }
}
