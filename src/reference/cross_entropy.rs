//! `log_probs[i] = log softmax(logits[i])[labels[i]]`, and `d_logits[i] = loss_weight[i] · (softmax − onehot)`, over a range of the
//! vocabulary.

use super::log_sum_exp::capped;
use super::scope::{Reference, Scope};
use crate::step::IGNORED_LABEL;
use crate::step::ops::CrossEntropy;

impl Reference for CrossEntropy {
    /// `logits` (C×range), overwritten by their gradient; `labels`, `loss_weight` and `log_probs` (N); `stats` (C×4), complete.
    fn run(&self, scope: &mut Scope<'_>) {
        let CrossEntropy { logits, labels, loss_weight, stats, log_probs, range, temperature } = *self;
        let cap = scope.config.final_logit_softcapping;
        let [mut logits, labels, loss_weight, stats, mut log_probs] = scope.operands([logits, labels, loss_weight, stats, log_probs]);
        for i in 0..logits.len() {
            let (row, padding) = logits.row_mut(i).split_at_mut(range.count as usize);
            padding.fill(0.0);
            if labels.scalar(i) == f64::from(IGNORED_LABEL) {
                log_probs.row_mut(i)[0] = 0.0;
                row.fill(0.0);
                continue;
            }
            let (label, weight) = (labels.scalar(i) - f64::from(range.first), loss_weight.scalar(i));
            let log_sum = stats.row(i)[0] + stats.row(i)[1].ln();
            log_probs.row_mut(i)[0] = stats.row(i)[2] - log_sum;
            for (id, logit) in row.iter_mut().enumerate() {
                let value = capped(*logit, cap);
                let slope = cap.map_or(1.0, |cap| 1.0 - (value / cap).powi(2));
                let is_label = if label == id as f64 { 1.0 } else { 0.0 };
                *logit = weight * ((value / temperature - log_sum).exp() - is_label) * slope / temperature;
            }
        }
    }
}
