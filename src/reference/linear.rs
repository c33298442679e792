//! `out[i] (+)= scale · weight · x[i] (+ bias) (+ residual[i])`.

use super::rows::{add_scaled, dot, for_each_row};
use super::scope::{Reference, Scope};
use crate::step::ops::Linear;

impl Reference for Linear {
    /// `x` (C×K), `weight` (rows×K), `out` and `residual` (C×M), `bias` (M). Uses the rows of `slice`.
    fn run(&self, scope: &mut Scope<'_>) {
        let Linear { x, weight, out, bias, residual, slice, scale, accumulate } = *self;
        let (first, rows) = (slice.row as usize, slice.rows as usize);
        let columns = slice.col as usize..slice.col as usize + rows;
        {
            let [x, weight, mut out] = scope.operands([x, weight, out]);
            let cols = out.cols();
            for_each_row([(out.rows_mut(), cols)], |i, [out]| {
                for (n, out) in out[columns.clone()].iter_mut().enumerate() {
                    *out = if accumulate { *out } else { 0.0 } + scale * dot(x.row(i), weight.row(first + n));
                }
            });
        }
        if let Some(bias) = bias {
            let [mut out, bias] = scope.operands([out, bias]);
            for i in 0..out.len() {
                add_scaled(&mut out.row_mut(i)[columns.clone()], 1.0, &bias.row(0)[columns.clone()]);
            }
        }
        if let Some(residual) = residual {
            scope.add_rows(out, residual, columns);
        }
    }
}
