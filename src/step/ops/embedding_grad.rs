//! The gradient of the embedding.

use super::operation::{Operation, Sizes};

operation! {
    /// `d_weight[v - first_id] += scale · Σ d_out[i]` over the tokens i whose id is v, from the last to the first.
    /// The tokens are those of `token_order`, which leaves out the padding token.
    EmbeddingGrad {
        /// The gradient of the hidden state (N×D).
        read d_out,
        /// Token positions sorted by token id, descending within an id (N).
        read token_order,
        /// The start of each id's run in `token_order` (V+1).
        read token_start,
        /// Gradients of rows of the embedding (a slice of V×D).
        write d_weight,
        ;
        /// The token id of the first row of `d_weight`.
        first_id: u32,
    }
}

impl Operation for EmbeddingGrad {
    fn flops(&self, sizes: &Sizes) -> u64 {
        sizes.chunk_elements(self.d_out)
    }
}
