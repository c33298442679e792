//! Sets a tensor to zero.

use super::operation::{Operation, Sizes};

operation! {
    /// `out = 0`: the chunk's rows, or all rows if the tensor has no row per token, or if all are wanted.
    Zero {
        /// Any shape.
        write out,
        ;
        /// All rows, whatever they stand for?
        all: bool,
    }
}

impl Operation for Zero {
    fn flops(&self, _: &Sizes) -> u64 {
        0
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
