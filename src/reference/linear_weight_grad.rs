//! `d_weight += Σ d_out[i] ⊗ x[i]` over tokens.

use super::rows::{add_scaled, for_each_row};
use super::scope::{Reference, Scope};
use crate::step::ops::LinearWeightGrad;

impl Reference for LinearWeightGrad {
    /// `d_out` (C×M), `x` (C×K), `d_weight` (rows×K). Updates the rows of `slice`.
    fn run(&self, scope: &mut Scope<'_>) {
        let LinearWeightGrad { d_out, x, d_weight, slice } = *self;
        let [d_out, x, mut d_weight] = scope.operands([d_out, x, d_weight]);
        let cols = d_weight.cols();
        let at_work = &mut d_weight.rows_mut()[slice.row as usize * cols..][..slice.rows as usize * cols];
        for_each_row([(at_work, cols)], |n, [d_weight]| {
            for i in (0..x.len()).rev() {
                add_scaled(d_weight, d_out.row(i)[slice.col as usize + n], x.row(i));
            }
        });
    }
}
