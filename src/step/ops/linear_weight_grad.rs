//! The gradient of a projection's weight.

use super::operation::{Operation, Sizes};
use super::slices::RowSlice;

operation! {
    /// `d_weight += Σ d_out[i] ⊗ x[i]` over tokens.
    LinearWeightGrad {
        /// (C×M)
        read d_out,
        /// (C×K)
        read x,
        /// (rows×K)
        write d_weight,
        ;
        /// The rows of `d_weight` to update.
        slice: RowSlice,
    }
}

impl Operation for LinearWeightGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.matmul(self.slice.rows, sizes.cols(self.x))
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
