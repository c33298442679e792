//! The gradients of attention's keys and values.

use super::operation::{Operation, Sizes};

operation! {
    /// Adds what the chunk's queries contribute to the gradients of all keys and values that they see.
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
        /// (C×H×2), with both numbers.
        read stats,
        /// (N×K·E, or a ring)
        write_visible d_k,
        /// (N×K·E, or a ring)
        write_visible d_v,
        ;
        /// Tokens that a query sees at most, itself among them.
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
