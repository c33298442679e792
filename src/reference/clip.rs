//! The global gradient norm `√Σ partials`, the factor that clips it, `min(1, max_grad_norm / (norm + 1e-6))`, and whether the norm and the
//! loss are finite.

use std::mem::offset_of;

use super::scope::{Reference, Scope};
use crate::step::ops::Clip;
use crate::step::update::AdamWParams;
use crate::step::update::metrics::{GRAD_NORM, LOSS, NOT_FINITE, SCALE};

impl Reference for Clip {
    /// `partials` of any shape, `adamw_params` (8), `metrics` (4), whose loss is unchanged.
    fn run(&self, scope: &mut Scope<'_>) {
        let Clip { partials, adamw_params, metrics } = *self;
        let [mut partials, adamw_params, mut metrics] = scope.operands([partials, adamw_params, metrics]);
        let norm = partials.rows_mut().iter().sum::<f64>().sqrt();
        let is_finite = norm.is_finite() && metrics.row_mut(0)[LOSS].is_finite();
        let max_grad_norm = adamw_params.row(0)[offset_of!(AdamWParams, max_grad_norm) / size_of::<f32>()];
        let metrics = metrics.row_mut(0);
        metrics[GRAD_NORM] = norm;
        metrics[SCALE] = if is_finite { (max_grad_norm / (norm + 1e-6)).min(1.0) } else { 0.0 };
        metrics[NOT_FINITE] = f64::from(u8::from(!is_finite));
    }
}
