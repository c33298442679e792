//! `d_weight[v] += Σ d_out[i]` over the tokens i whose id is v, times √D where the family scales its embedding.

use super::Scope;
use super::rows::add_scaled;
use crate::step::TensorId;

impl Scope<'_> {
    /// `d_out` (N×D), `token_order` (N), `token_start` (V+1), `d_weight` (a run of V×D).
    pub(super) fn embedding_grad(
        &mut self,
        d_out: TensorId,
        token_order: TensorId,
        token_start: TensorId,
        d_weight: TensorId,
        first_id: u32,
    ) {
        let scale = self.config.embedding_scale();
        let [d_out, token_order, token_start, mut d_weight] = self.operands([d_out, token_order, token_start, d_weight]);
        let first = first_id as usize;
        for id in first..(first + d_weight.len()).min(token_start.len() - 1) {
            for place in token_start.scalar(id) as usize..token_start.scalar(id + 1) as usize {
                let token = token_order.scalar(place) as usize;
                add_scaled(d_weight.row_mut(id - first), scale, d_out.token(token));
            }
        }
    }
}
