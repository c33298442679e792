//! The log-sum-exp of logits.

use super::operation::{Operation, Sizes};
use super::slices::VocabRange;

operation! {
    /// Continues `stats[i]` = (the largest logit, the sum of exponentials relative to it, the label's logit) over a range of the vocabulary.
    LogSumExp {
        /// (C×range)
        read logits,
        /// (N)
        read labels,
        /// (C×4)
        write stats,
        ;
        /// The tokens whose logits these are.
        range: VocabRange,
    }
}

impl Operation for LogSumExp {
    fn flops(&self, sizes: &Sizes) -> u64 {
        4 * sizes.chunk_elements(self.logits)
    }
}
