//! RMSNorm.

use super::operation::{Operation, Sizes};
use super::slices::NormGroups;

operation! {
    /// `rstd[i] = 1 / √(mean(x[i]²) + ε)`, `out[i] = x[i] · rstd[i] · weight (+ residual[i])`, for each group of a row separately.
    RmsNorm {
        /// (C×D)
        read x,
        /// (D, or the size of a group, E)
        read weight,
        /// (C×D)
        write out,
        /// (C×groups)
        write rstd,
        /// (C×D)
        maybe_read residual,
        ;
        /// The groups of a row.
        groups: NormGroups,
    }
}

impl Operation for RmsNorm {
    fn flops(&self, sizes: &Sizes) -> u64 {
        4 * sizes.chunk_elements(self.x)
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
