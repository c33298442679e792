//! `d_weight[v] += Σ d_out[i]` over the tokens i whose id is v, times √D if the family scales its embedding.

use super::rows::add_scaled;
use super::scope::{Reference, Scope};
use crate::step::ops::EmbeddingGrad;

impl Reference for EmbeddingGrad {
    /// `d_out` (N×D), `token_order` (N), `token_start` (V+1), `d_weight` (a slice of V×D).
    fn run(&self, scope: &mut Scope<'_>) {
        let EmbeddingGrad { d_out, token_order, token_start, d_weight, first_id } = *self;
        let scale = scope.config.embedding_scale();
        let [d_out, token_order, token_start, mut d_weight] = scope.operands([d_out, token_order, token_start, d_weight]);
        let first = first_id as usize;
        for id in first..(first + d_weight.len()).min(token_start.len() - 1) {
            for place in token_start.scalar(id) as usize..token_start.scalar(id + 1) as usize {
                let token = token_order.scalar(place) as usize;
                add_scaled(d_weight.row_mut(id - first), scale, d_out.token(token));
            }
        }
    }
}
