//! `d_weight += Σ d_out[i] ⊗ x[i]` over tokens.

use super::Scope;
use super::rows::{add_scaled, for_each_row};
use crate::step::{Slice, TensorId};

impl Scope<'_> {
    /// `d_out` (C×M), `x` (C×K), `d_weight` (rows×K). The rows at work are those of `slice`.
    pub(super) fn linear_weight_grad(&mut self, d_out: TensorId, x: TensorId, d_weight: TensorId, slice: Slice) {
        let [d_out, x, mut d_weight] = self.operands([d_out, x, d_weight]);
        let cols = d_weight.cols();
        let at_work = &mut d_weight.rows_mut()[slice.row as usize * cols..][..slice.rows as usize * cols];
        for_each_row([(at_work, cols)], |n, [d_weight]| {
            for i in (0..x.len()).rev() {
                add_scaled(d_weight, d_out.row(i)[slice.col as usize + n], x.row(i));
            }
        });
    }
}
