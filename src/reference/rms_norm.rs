//! `rstd[i] = 1 / √(mean(x[i]²) + ε)`, `out[i] = x[i] · rstd[i] · weight`.

use super::Scope;
use super::rows::dot;
use crate::step::TensorId;

impl Scope<'_> {
    /// `x` (C×D), `weight` (D), `out` (C×D), `rstd` (C).
    pub(super) fn rms_norm(&mut self, x: TensorId, weight: TensorId, out: TensorId, rstd: TensorId) {
        let (size, eps) = (f64::from(self.config.hidden_size), self.config.rms_norm_eps);
        let [x, weight, mut out, mut rstd] = self.operands([x, weight, out, rstd]);
        for i in 0..x.len() {
            let row = x.row(i);
            let r = 1.0 / (dot(row, row) / size + eps).sqrt();
            rstd.row_mut(i)[0] = r;
            for ((out, x), weight) in out.row_mut(i).iter_mut().zip(row).zip(weight.row(0)) {
                *out = x * r * weight;
            }
        }
    }
}
