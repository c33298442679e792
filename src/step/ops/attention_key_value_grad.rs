//! The gradients of attention's keys and values.

use super::operation::{Operation, Sizes};

operation! {
    /// Adds the contributions of the chunk's queries to the gradients of all keys and values that are visible to them.
    AttentionKeyValueGrad {
        /// Queries (C×H·E).
        read q,
        /// Keys (N×K·E, or a ring).
        read_visible k,
        /// Values (N×K·E, or a ring).
        read_visible v,
        /// The first token of each token's sequence (N).
        read segment_start,
        /// (C×H·E)
        read d_out,
        /// Log-sum-exp, and `d_out · out`, of each row and head (C×H×2).
        read stats,
        /// (N×K·E, or a ring)
        write_visible d_k,
        /// (N×K·E, or a ring)
        write_visible d_v,
        ;
        /// The sliding window in tokens, the query included.
        window: Option<u32>,
    }
}

impl Operation for AttentionKeyValueGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.attention_pairs(self.window) * (8 * sizes.head_dim() + 6)
    }

    fn window(&self) -> Option<u32> {
        self.window
    }
}
