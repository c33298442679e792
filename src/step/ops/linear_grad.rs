//! The gradient of a projection's input.

use super::operation::{Operation, Sizes};
use super::slices::RowSlice;
use crate::step::tensor::TensorId;

operation! {
    /// `d_x[i] (+)= scale · weightᵀ · d_out[i]`.
    LinearGrad {
        /// (C×M)
        read d_out,
        /// (rows×K)
        read weight,
        /// (C×K)
        write d_x,
        ;
        /// The rows of `weight` to use.
        slice: RowSlice,
        /// The factor of the product.
        scale: f64,
        /// Is the result added to what `d_x` holds?
        accumulate: bool,
    }
}

impl Operation for LinearGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.matmul(self.slice.rows, sizes.cols(self.d_x))
    }

    fn has_siblings(&self) -> bool {
        true
    }

    fn continues(&self) -> Option<TensorId> {
        self.accumulate.then_some(self.d_x)
    }
}
