//! `out[i] = weight · x[i] (+ residual[i])`.

use super::Scope;
use super::rows::{dot, for_each_row};
use crate::step::TensorId;

impl Scope<'_> {
    /// `x` (C×K), `weight` (M×K), `out` (C×M), `residual` (C×M).
    pub(super) fn linear(&mut self, x: TensorId, weight: TensorId, out: TensorId, residual: Option<TensorId>) {
        {
            let [x, weight, mut out] = self.operands([x, weight, out]);
            let cols = out.cols();
            for_each_row([(out.rows_mut(), cols)], |i, [out]| {
                out.iter_mut().enumerate().for_each(|(n, out)| *out = dot(x.row(i), weight.row(n)));
            });
        }
        let Some(residual) = residual else { return };
        let [mut out, residual] = self.operands([out, residual]);
        for i in 0..out.len() {
            out.row_mut(i).iter_mut().zip(residual.row(i)).for_each(|(out, residual)| *out += residual);
        }
    }
}
