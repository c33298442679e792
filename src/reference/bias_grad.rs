//! `d_bias += Σ d_out[i]` over tokens.

use super::Scope;
use super::rows::add_scaled;
use crate::step::TensorId;

impl Scope<'_> {
    /// `d_out` (C×M), `d_bias` (M).
    pub(super) fn bias_grad(&mut self, d_out: TensorId, d_bias: TensorId) {
        let [d_out, mut d_bias] = self.operands([d_out, d_bias]);
        for i in (0..d_out.len()).rev() {
            add_scaled(d_bias.row_mut(0), 1.0, d_out.row(i));
        }
    }
}
