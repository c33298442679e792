//! Causal attention over packed sequences.

use super::operation::{Operation, Sizes};

operation! {
    /// `out = softmax(scale · q·kᵀ) · v` over the keys that are visible to each query; `stats[i, h].x` = the log-sum-exp of the row.
    Attention {
        /// Queries (C×H·E).
        read q,
        /// Keys (N×K·E, or a ring).
        read_visible k,
        /// Values (N×K·E, or a ring).
        read_visible v,
        /// The first token of each token's sequence (N).
        read segment_start,
        /// (C×H·E)
        write out,
        /// (C×H×2)
        write stats,
        ;
        /// The sliding window in tokens, the query included.
        window: Option<u32>,
    }
}

impl Operation for Attention {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.attention_pairs(self.window) * (4 * sizes.head_dim() + 4)
    }

    fn window(&self) -> Option<u32> {
        self.window
    }
}
