//! The gradient of attention's queries.

use super::operation::{Operation, Sizes};

operation! {
    /// The gradient of `q`; `stats[i, h].y` = `d_out · out` of the row, for [`AttentionKeyValueGrad`](super::AttentionKeyValueGrad).
    AttentionQueryGrad {
        /// Queries (C×H·E).
        read q,
        /// Keys (N×K·E, or a ring).
        read_visible k,
        /// Values (N×K·E, or a ring).
        read_visible v,
        /// The first token of each token's sequence (N).
        read segment_start,
        /// (C×H·E)
        read out,
        /// (C×H·E)
        read d_out,
        /// (C×H×2)
        write stats,
        /// (C×H·E)
        write d_q,
        ;
        /// The sliding window in tokens, the query included.
        window: Option<u32>,
    }
}

impl Operation for AttentionQueryGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.attention_pairs(self.window) * (6 * sizes.head_dim() + 6)
    }

    fn window(&self) -> Option<u32> {
        self.window
    }
}
