//! Sums of squares, for the norm of the gradient.

use super::operation::{Operation, Sizes};

operation! {
    /// `partials[slot]` = 256 partial sums of the squares of `x`.
    SquareSum {
        /// Any shape.
        read x,
        /// (slots×256)
        write partials,
        ;
        /// The row of `partials` to write.
        slot: u32,
    }
}

impl Operation for SquareSum {
    fn flops(&self, sizes: &Sizes) -> u64 {
        2 * sizes.elements(self.x)
    }
}
