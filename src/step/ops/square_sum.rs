//! Sums of squares, for the norm of the gradient.

use super::operation::{Operation, Sizes};

operation! {
    /// `partials[slot]` and the rows after it = 256 partial sums each of the squares of `x`.
    SquareSum {
        /// Any shape.
        read x,
        /// (slots×256)
        write partials,
        ;
        /// The first row of `partials` to write.
        slot: u32,
        /// The number of rows.
        slots: u32,
    }
}

impl Operation for SquareSum {
    fn flops(&self, sizes: &Sizes) -> u64 {
        2 * sizes.elements(self.x)
    }

    fn has_siblings(&self) -> bool {
        true
    }

    fn writes_own_part(&self) -> bool {
        true
    }
}
