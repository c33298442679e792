//! The gradient of a projection's bias.

use super::operation::{Operation, Sizes};

operation! {
    /// `d_bias += Σ d_out[i]` over tokens.
    BiasGrad {
        /// (C×M)
        read d_out,
        /// (M)
        write d_bias,
    }
}

impl Operation for BiasGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.chunk_elements(self.d_out)
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
