//! A linear projection.

use super::operation::{Operation, Sizes};
use super::slices::RowSlice;

operation! {
    /// `out[i] (+)= scale · weight · x[i] (+ bias) (+ residual[i])`, for the columns of `out` that the slice names. M output columns.
    Linear {
        /// (C×K)
        read x,
        /// (rows×K)
        read weight,
        /// (C×M)
        write out,
        /// (M)
        maybe_read bias,
        /// (C×M)
        maybe_read residual,
        ;
        /// The rows of `weight` to use.
        slice: RowSlice,
        /// The factor of the product.
        scale: f64,
        /// Is the result added to what `out` holds?
        accumulate: bool,
    }
}

impl Operation for Linear {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.matmul(self.slice.rows, sizes.cols(self.x))
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
