//! Gradient clipping.

use super::operation::{Operation, Sizes};

operation! {
    /// Writes the gradient's norm, the factor that clips it, and whether it is finite, into `metrics`.
    Clip {
        /// (slots×256)
        read partials,
        /// [`AdamWParams`](crate::step::update::AdamWParams) (8).
        read adamw_params,
        /// (4)
        write metrics,
    }
}

impl Operation for Clip {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.elements(self.partials)
    }
}
