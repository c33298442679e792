//! `metrics.loss += −Σ loss_weight[i] · log_probs[i]`.

use super::Scope;
use crate::step::TensorId;
use crate::step::update::metrics::LOSS;

impl Scope<'_> {
    /// `log_probs` and `loss_weight` (N), `metrics` (4).
    pub(super) fn loss(&mut self, log_probs: TensorId, loss_weight: TensorId, metrics: TensorId) {
        let [log_probs, loss_weight, mut metrics] = self.operands([log_probs, loss_weight, metrics]);
        let sum: f64 = (0..log_probs.len()).map(|i| loss_weight.scalar(i) * log_probs.scalar(i)).sum();
        metrics.row_mut(0)[LOSS] -= sum;
    }
}
