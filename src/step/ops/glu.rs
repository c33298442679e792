//! The gated MLP activation.

use super::operation::{Operation, Sizes};

operation! {
    /// `out = act(gate) · up`.
    Glu {
        /// (C×F)
        read gate,
        /// (C×F)
        read up,
        /// (C×F)
        write out,
    }
}

impl Operation for Glu {
    fn flops(&self, sizes: &Sizes) -> u64 {
        6 * sizes.chunk_elements(self.out)
    }
}
