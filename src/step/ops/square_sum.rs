//! Sums of squares, for the norm of the gradient.

use super::operation::{Operation, Sizes};

operation! {
    /// `partials[slot]` = sums of squares of parts of `x`.
    SquareSum {
        /// Any shape.
        read x,
        /// (slots×256)
        write partials,
        ;
        /// The row of `partials`.
        slot: u32,
    }
}

impl Operation for SquareSum {
    fn flops(&self, sizes: &Sizes) -> u64 {
        2 * sizes.elements(self.x)
    }
}
