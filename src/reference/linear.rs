//! `out[i] (+)= scale · weight · x[i] (+ bias) (+ residual[i])`.

use super::Scope;
use super::rows::{add_scaled, dot, for_each_row};
use crate::step::{Slice, TensorId};

impl Scope<'_> {
    /// `x` (C×K), `weight` (rows×K), `out` and `residual` (C×M), `bias` (M). The rows at work are those of `slice`.
    pub(super) fn linear(
        &mut self,
        [x, weight, out]: [TensorId; 3],
        [bias, residual]: [Option<TensorId>; 2],
        slice: Slice,
        scale: f64,
        accumulate: bool,
    ) {
        let (first, rows) = (slice.row as usize, slice.rows as usize);
        let columns = slice.col as usize..slice.col as usize + rows;
        {
            let [x, weight, mut out] = self.operands([x, weight, out]);
            let cols = out.cols();
            for_each_row([(out.rows_mut(), cols)], |i, [out]| {
                for (n, out) in out[columns.clone()].iter_mut().enumerate() {
                    *out = if accumulate { *out } else { 0.0 } + scale * dot(x.row(i), weight.row(first + n));
                }
            });
        }
        if let Some(bias) = bias {
            let [mut out, bias] = self.operands([out, bias]);
            for i in 0..out.len() {
                add_scaled(&mut out.row_mut(i)[columns.clone()], 1.0, &bias.row(0)[columns.clone()]);
            }
        }
        if let Some(residual) = residual {
            self.add_rows(out, residual, columns);
        }
    }
}
