//! The embedding lookup.

use super::operation::{Operation, Sizes};

operation! {
    /// `out[i] = scale · weight[input_ids[i] - first_id]` for the tokens whose id is among the rows of `weight`; other rows of `out` are
    /// unchanged. The scale is √D for Gemma and 1 otherwise.
    Embedding {
        /// Token ids (N).
        read input_ids,
        /// Rows of the embedding (a slice of V×D).
        read weight,
        /// The chunk's hidden state (C×D).
        write out,
        ;
        /// The token id of the first row of `weight`.
        first_id: u32,
    }
}

impl Operation for Embedding {
    fn flops(&self, _: &Sizes) -> u64 {
        0
    }
}
