//! The log-sum-exp of logits.

use super::operation::{Operation, Sizes};
use super::slices::VocabRange;

operation! {
    /// Updates `stats[i]` = (largest logit, sum of exponentials relative to it, logit of the label) with a range of the vocabulary.
    LogSumExp {
        /// (C×range)
        read logits,
        /// (N)
        read labels,
        /// (C×4)
        write stats,
        ;
        /// The token ids of the columns of `logits`.
        range: VocabRange,
        /// What logits are divided by.
        temperature: f64,
    }
}

impl Operation for LogSumExp {
    fn flops(&self, sizes: &Sizes) -> u64 {
        4 * sizes.chunk_elements(self.logits)
    }
}
