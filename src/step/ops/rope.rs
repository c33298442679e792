//! The rotary position embedding.

use super::operation::{Operation, Sizes};
use crate::step::tensor::TensorId;

operation! {
    /// Rotates the pairs (e, e + E/2) of every head of `x` by the angle of the token's position, by the negative angle if `inverse`, and
    /// multiplies them by the embedding's factor, which YaRN has. Source: Su et al. 2021, in the half-split layout of Hugging Face.
    Rope {
        /// (C×heads·E)
        write x,
        /// The first token of each token's sequence (N).
        read segment_start,
        /// Cosines and sines by position: [`Bindings::rope_table`](crate::step::Bindings::rope_table).
        read table,
        ;
        /// Is the layer one with a sliding window, which may have a rotary embedding of its own?
        is_local: bool,
        /// Does it rotate back, as the backward pass does?
        inverse: bool,
    }
}

impl Operation for Rope {
    fn flops(&self, sizes: &Sizes) -> u64 {
        3 * sizes.chunk_elements(self.x)
    }

    fn has_siblings(&self) -> bool {
        true
    }

    fn continues(&self) -> Option<TensorId> {
        Some(self.x)
    }
}
