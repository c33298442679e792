//! `d_bias += Σ d_out[i]` over tokens.

use super::rows::add_scaled;
use super::scope::{Reference, Scope};
use crate::step::ops::BiasGrad;

impl Reference for BiasGrad {
    /// `d_out` (C×M), `d_bias` (M).
    fn run(&self, scope: &mut Scope<'_>) {
        let BiasGrad { d_out, d_bias } = *self;
        let [d_out, mut d_bias] = scope.operands([d_out, d_bias]);
        for i in (0..d_out.len()).rev() {
            add_scaled(d_bias.row_mut(0), 1.0, d_out.row(i));
        }
    }
}
