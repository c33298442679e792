//! `d_weight += Σ d_out[i] · x[i] · rstd[i]` over tokens.

use super::Scope;
use crate::step::TensorId;

impl Scope<'_> {
    /// `x` (C×D), `rstd` (C), `d_out` (C×D), `d_weight` (D).
    pub(super) fn rms_norm_weight_grad(&mut self, x: TensorId, rstd: TensorId, d_out: TensorId, d_weight: TensorId) {
        let [x, rstd, d_out, mut d_weight] = self.operands([x, rstd, d_out, d_weight]);
        for i in (0..x.len()).rev() {
            for ((sum, x), d_out) in d_weight.row_mut(0).iter_mut().zip(x.row(i)).zip(d_out.row(i)) {
                *sum += d_out * x * rstd.scalar(i);
            }
        }
    }
}
