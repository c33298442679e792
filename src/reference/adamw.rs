//! One step of AdamW with the clipped gradient: `m = β₁·m + (1−β₁)·g`, `v = β₂·v + (1−β₂)·g²`,
//! `w −= lr · (m̂ / (√v̂ + ε) + decay · w)`.

use super::scope::{Reference, Scope};
use crate::step::ops::AdamW;
use crate::step::update::metrics::{NOT_FINITE, SCALE};

impl Reference for AdamW {
    /// `gradient`, `weight` and both moments have the same shape, `adamw_params` (8), `metrics` (4). Does nothing if the gradient is not
    /// finite.
    fn run(&self, scope: &mut Scope<'_>) {
        let AdamW { gradient, adamw_params, metrics, weight, moment1, moment2, decay } = *self;
        let [mut gradient, adamw_params, metrics, mut weight, mut moment1, mut moment2] =
            scope.operands([gradient, adamw_params, metrics, weight, moment1, moment2]);
        let &[learning_rate, beta1, beta2, epsilon, weight_decay, _, bias_correction1, bias_correction2] = adamw_params.row(0) else {
            panic!("eight adamw_params");
        };
        let metrics = metrics.row(0);
        if metrics[NOT_FINITE] != 0.0 {
            return;
        }
        let weight_decay = if decay { weight_decay } else { 0.0 };
        let moments = moment1.rows_mut().iter_mut().zip(moment2.rows_mut());
        for ((w, g), (m, v)) in weight.rows_mut().iter_mut().zip(gradient.rows_mut()).zip(moments) {
            let g = *g * metrics[SCALE];
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let direction = (*m / bias_correction1) / ((*v / bias_correction2).sqrt() + epsilon);
            *w -= learning_rate * (direction + weight_decay * *w);
        }
    }
}
