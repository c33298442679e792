//! `d_x[i] (+)= scale · weightᵀ · d_out[i]`.

use super::Scope;
use super::rows::{add_scaled, for_each_row};
use crate::step::{Slice, TensorId};

impl Scope<'_> {
    /// `d_out` (C×M), `weight` (rows×K), `d_x` (C×K). The rows at work are those of `slice`.
    pub(super) fn linear_grad(&mut self, [d_out, weight, d_x]: [TensorId; 3], slice: Slice, scale: f64, accumulate: bool) {
        let [d_out, weight, mut d_x] = self.operands([d_out, weight, d_x]);
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
