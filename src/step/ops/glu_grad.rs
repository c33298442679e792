//! The gradients of the gated MLP activation.

use super::operation::{Operation, Sizes};
use crate::step::tensor::TensorId;

operation! {
    /// `gate` and `up` are overwritten by their gradients.
    GluGrad {
        /// (C×F)
        read d_out,
        /// (C×F)
        write gate,
        /// (C×F)
        write up,
    }
}

impl Operation for GluGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        12 * sizes.chunk_elements(self.d_out)
    }

    fn continues(&self) -> Option<TensorId> {
        Some(self.d_out)
    }
}
