//! `d_x[i] (+)= weightᵀ · d_out[i]`.

use super::Scope;
use super::rows::{add_scaled, for_each_row};
use crate::step::TensorId;

impl Scope<'_> {
    /// `d_out` (C×M), `weight` (M×K), `d_x` (C×K).
    pub(super) fn linear_grad(&mut self, d_out: TensorId, weight: TensorId, d_x: TensorId, accumulate: bool) {
        let [d_out, weight, mut d_x] = self.operands([d_out, weight, d_x]);
        let cols = d_x.cols();
        for_each_row([(d_x.rows_mut(), cols)], |i, [d_x]| {
            if !accumulate {
                d_x.fill(0.0);
            }
            for (n, &d_out) in d_out.row(i).iter().enumerate() {
                add_scaled(d_x, d_out, weight.row(n));
            }
        });
    }
}
