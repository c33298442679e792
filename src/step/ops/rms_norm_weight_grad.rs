//! The gradient of an RMSNorm's weight.

use super::operation::{Operation, Sizes};
use super::slices::NormGroups;

operation! {
    /// `d_weight += Σ d_out[i] · x[i] · rstd[i]` over tokens and groups.
    RmsNormWeightGrad {
        /// (C×D)
        read x,
        /// (C×groups)
        read rstd,
        /// (C×D)
        read d_out,
        /// (D, or the size of a group, E)
        write d_weight,
        ;
        /// The groups of a row.
        groups: NormGroups,
    }
}

impl Operation for RmsNormWeightGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        3 * sizes.chunk_elements(self.x)
    }

    fn has_siblings(&self) -> bool {
        true
    }
}
