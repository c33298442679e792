//! Sets a tensor to zero.

use super::operation::{Fusion, Operation, Sizes};

operation! {
    /// `out = 0`: the chunk's rows, or all rows if the tensor has no row per token.
    Zero {
        /// Any shape.
        write out,
    }
}

impl Operation for Zero {
    fn flops(&self, _: &Sizes) -> u64 {
        0
    }

    fn fusion(&self) -> Fusion {
        Fusion::Parallel { writes_own_part: false }
    }
}
