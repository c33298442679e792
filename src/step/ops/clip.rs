//! Gradient clipping.

use super::operation::{Operation, Sizes};

operation! {
    /// Writes the global gradient norm, the factor that clips it to the maximum norm, and whether it is not finite, into `metrics`.
    Clip {
        /// Partial sums of squares of all gradients (slots×256).
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
