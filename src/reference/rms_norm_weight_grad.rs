//! `d_weight += Σ d_out[i] · x[i] · rstd[i]` over tokens and groups.

use super::scope::{Reference, Scope};
use crate::step::ops::RmsNormWeightGrad;

impl Reference for RmsNormWeightGrad {
    /// `x` and `d_out` (C×groups·size), `rstd` (C×groups), `d_weight` (size).
    fn run(&self, scope: &mut Scope<'_>) {
        let RmsNormWeightGrad { x, rstd, d_out, d_weight, groups } = *self;
        let [x, rstd, d_out, mut d_weight] = scope.operands([x, rstd, d_out, d_weight]);
        for i in (0..x.len()).rev() {
            let (x, d_out) = (x.row(i), d_out.row(i));
            let cols = x.len() / groups.count as usize;
            for ((x, d_out), r) in x.chunks_exact(cols).zip(d_out.chunks_exact(cols)).zip(rstd.row(i)) {
                d_weight.row_mut(0).iter_mut().zip(x).zip(d_out).for_each(|((sum, x), d_out)| *sum += d_out * x * r);
            }
        }
    }
}
