//! `rstd[i] = 1 / √(mean(x[i]²) + ε)`, `out[i] = x[i] · rstd[i] · weight (+ residual[i])`, for each group of a row separately.

use super::rows::dot;
use super::scope::{Reference, Scope};
use super::tensors::Matrix;
use crate::step::ops::RmsNorm;

impl Reference for RmsNorm {
    /// `x` (C×groups·size), `weight` (size), `out` and `residual` as `x`, `rstd` (C×groups).
    fn run(&self, scope: &mut Scope<'_>) {
        let RmsNorm { x, weight, out, rstd, residual, groups } = *self;
        let (eps, plus) = (scope.config.rms_norm_eps, scope.norm_plus());
        {
            let [x, weight, mut out, mut rstd] = scope.operands([x, weight, out, rstd]);
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
            scope.add_rows(out, residual, ..);
        }
    }
}

/// The factor of a norm: the weight, or 1 + weight.
pub(super) fn norm_weight(weight: &Matrix, plus: f64) -> Vec<f64> {
    weight.row(0).iter().map(|weight| weight + plus).collect()
}
