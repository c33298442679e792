//! `rstd[i] = 1 / √(mean(x[i]²) + ε)`, `out[i] = x[i] · rstd[i] · weight (+ residual[i])`, in each group of a row apart.

use super::Scope;
use super::rows::dot;
use super::tensors::Matrix;
use crate::step::{Groups, TensorId};

impl Scope<'_> {
    /// `x` (C×groups·size), `weight` (size), `out` and `residual` as `x`, `rstd` (C×groups).
    pub(super) fn rms_norm(&mut self, [x, weight, out, rstd]: [TensorId; 4], residual: Option<TensorId>, groups: Groups) {
        let (eps, plus) = (self.config.rms_norm_eps, self.norm_plus());
        {
            let [x, weight, mut out, mut rstd] = self.operands([x, weight, out, rstd]);
            let weight = norm_weight(&weight, plus);
            for i in 0..x.len() {
                let (x, out, rstd) = (x.row(i), out.row_mut(i), rstd.row_mut(i));
                let cols = x.len() / groups.count as usize;
                for ((x, out), rstd) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)).zip(rstd) {
                    *rstd = 1.0 / (dot(x, x) / f64::from(groups.size) + eps).sqrt();
                    out.iter_mut().zip(x).zip(&weight).for_each(|((out, x), weight)| *out = x * *rstd * weight);
                }
            }
        }
        if let Some(residual) = residual {
            self.add_rows(out, residual, ..);
        }
    }

    /// What the family's norms add to their weights.
    pub(super) fn norm_plus(&self) -> f64 {
        if self.config.family().norms_add_one { 1.0 } else { 0.0 }
    }
}

/// What a norm multiplies by.
pub(super) fn norm_weight(weight: &Matrix, plus: f64) -> Vec<f64> {
    weight.row(0).iter().map(|weight| weight + plus).collect()
}
