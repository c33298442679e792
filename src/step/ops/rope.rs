//! The rotary position embedding.

use super::operation::{Operation, Sizes};

operation! {
    /// Rotates the pairs (e, e + E/2) of every head of `x` by the angle of the token's position; backwards if `inverse`.
    Rope {
        /// (C×heads·E)
        write x,
        /// The first token of each token's sequence (N).
        read segment_start,
        /// Cosines and sines by position.
        read table,
        ;
        /// Is it the embedding of layers with a sliding window?
        is_local: bool,
        /// Does it undo the rotation, as the backward pass does?
        inverse: bool,
    }
}

impl Operation for Rope {
    fn flops(&self, sizes: &Sizes) -> u64 {
        3 * sizes.chunk_elements(self.x)
    }
}
