//! `log_probs[i] = log softmax(logits[i])[labels[i]]`, and `d_logits[i] = loss_weight[i] · (softmax − onehot)`, over a block of words.

use super::Scope;
use super::log_sum_exp::capped;
use crate::step::{IGNORED_LABEL, TensorId, Words};

impl Scope<'_> {
    /// `logits` (C×words), overwritten by their gradient; `labels`, `loss_weight` and `log_probs` (N); `stats` (C×4), complete.
    pub(super) fn cross_entropy(&mut self, [logits, labels, loss_weight, stats, log_probs]: [TensorId; 5], words: Words) {
        let cap = self.config.final_logit_softcapping;
        let [mut logits, labels, loss_weight, stats, mut log_probs] = self.operands([logits, labels, loss_weight, stats, log_probs]);
        for i in 0..logits.len() {
            let (row, padding) = logits.row_mut(i).split_at_mut(words.count as usize);
            padding.fill(0.0);
            if labels.scalar(i) == f64::from(IGNORED_LABEL) {
                log_probs.row_mut(i)[0] = 0.0;
                row.fill(0.0);
                continue;
            }
            let (label, weight) = (labels.scalar(i) - f64::from(words.first), loss_weight.scalar(i));
            let log_sum = stats.row(i)[0] + stats.row(i)[1].ln();
            log_probs.row_mut(i)[0] = stats.row(i)[2] - log_sum;
            for (word, logit) in row.iter_mut().enumerate() {
                let value = capped(*logit, cap);
                let slope = cap.map_or(1.0, |cap| 1.0 - (value / cap).powi(2));
                let is_label = if label == word as f64 { 1.0 } else { 0.0 };
                *logit = weight * ((value - log_sum).exp() - is_label) * slope;
            }
        }
    }
}
