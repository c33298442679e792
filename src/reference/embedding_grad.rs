//! `d_weight[v] += Σ d_out[i]` over the tokens i whose id is v.

use super::Scope;
use super::rows::add_scaled;
use crate::step::TensorId;

impl Scope<'_> {
    /// `d_out` (N×D), `token_order` (N), `token_start` (V+1), `d_weight` (V×D).
    pub(super) fn embedding_grad(&mut self, d_out: TensorId, token_order: TensorId, token_start: TensorId, d_weight: TensorId) {
        let [d_out, token_order, token_start, mut d_weight] = self.operands([d_out, token_order, token_start, d_weight]);
        for id in 0..token_start.len() - 1 {
            for place in token_start.scalar(id) as usize..token_start.scalar(id + 1) as usize {
                let token = token_order.scalar(place) as usize;
                add_scaled(d_weight.row_mut(id), 1.0, d_out.token(token));
            }
        }
    }
}
