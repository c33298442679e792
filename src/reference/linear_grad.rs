//! `d_x[i] (+)= scale · weightᵀ · d_out[i]`.

use super::rows::{add_scaled, for_each_row};
use super::scope::{Reference, Scope};
use crate::step::ops::LinearGrad;

impl Reference for LinearGrad {
    /// `d_out` (C×M), `weight` (rows×K), `d_x` (C×K). Uses the rows of `slice`.
    fn run(&self, scope: &mut Scope<'_>) {
        let LinearGrad { d_out, weight, d_x, slice, scale, accumulate } = *self;
        let [d_out, weight, mut d_x] = scope.operands([d_out, weight, d_x]);
        let cols = d_x.cols();
        for_each_row([(d_x.rows_mut(), cols)], |i, [d_x]| {
            if !accumulate {
                d_x.fill(0.0);
            }
            for (n, &d_out) in d_out.row(i)[slice.col as usize..][..slice.rows as usize].iter().enumerate() {
                add_scaled(d_x, scale * d_out, weight.row(slice.row as usize + n));
            }
        });
    }
}
