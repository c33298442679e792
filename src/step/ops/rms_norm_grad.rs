//! The gradient of an RMSNorm's input.

use super::operation::{Operation, Sizes};
use super::slices::NormGroups;

operation! {
    /// The gradient of `x` through an RMSNorm. It is added to `d_x` if `x` is given; otherwise `d_x` holds `x` and is overwritten.
    RmsNormGrad {
        /// (C×groups)
        read rstd,
        /// (D, or the size of a group, E)
        read weight,
        /// (C×D)
        read d_out,
        /// (C×D)
        write d_x,
        /// (C×D)
        maybe_read x,
        ;
        /// The groups of a row.
        groups: NormGroups,
    }
}

impl Operation for RmsNormGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        8 * sizes.chunk_elements(self.d_x)
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
