//! `log_probs[i] = log softmax(logits[i])[labels[i]]`, and `d_logits[i] = loss_weight[i] · (softmax − onehot)`.

use super::Scope;
use crate::step::{IGNORED_LABEL, TensorId};

impl Scope<'_> {
    /// `logits` (C×V), overwritten by their gradient; `labels`, `loss_weight` and `log_probs` (N). Padding behind the
    /// vocabulary is no part of the softmax.
    pub(super) fn cross_entropy(&mut self, logits: TensorId, labels: TensorId, loss_weight: TensorId, log_probs: TensorId) {
        let vocab_size = self.config.vocab_size as usize;
        let [mut logits, labels, loss_weight, mut log_probs] = self.operands([logits, labels, loss_weight, log_probs]);
        for i in 0..logits.len() {
            let (words, padding) = logits.row_mut(i).split_at_mut(vocab_size);
            padding.fill(0.0);
            if labels.scalar(i) == f64::from(IGNORED_LABEL) {
                log_probs.row_mut(i)[0] = 0.0;
                words.fill(0.0);
                continue;
            }
            let label = labels.scalar(i) as usize;
            let top = words.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = top + words.iter().map(|logit| (logit - top).exp()).sum::<f64>().ln();
            log_probs.row_mut(i)[0] = words[label] - log_sum;
            words.iter_mut().for_each(|logit| *logit = loss_weight.scalar(i) * (*logit - log_sum).exp());
            words[label] -= loss_weight.scalar(i);
        }
    }
}
