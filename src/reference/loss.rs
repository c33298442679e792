//! `metrics.loss += −Σ loss_weight[i] · log_probs[i]`.

use super::scope::{Reference, Scope};
use crate::step::ops::Loss;
use crate::step::update::metrics::LOSS;

impl Reference for Loss {
    /// `log_probs` and `loss_weight` (N), `metrics` (4).
    fn run(&self, scope: &mut Scope<'_>) {
        let Loss { log_probs, loss_weight, metrics } = *self;
        let [log_probs, loss_weight, mut metrics] = scope.operands([log_probs, loss_weight, metrics]);
        let sum: f64 = (0..log_probs.len()).map(|i| loss_weight.scalar(i) * log_probs.scalar(i)).sum();
        metrics.row_mut(0)[LOSS] -= sum;
    }
}
