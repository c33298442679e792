//! Updates (largest logit, sum of exponentials relative to it, logit of the label) of every row with a range of the vocabulary.

use super::scope::{Reference, Scope};
use crate::step::ops::LogSumExp;

impl Reference for LogSumExp {
    /// `logits` (C×range), `labels` (N), `stats` (C×4). Padding after the range is not part of the softmax.
    fn run(&self, scope: &mut Scope<'_>) {
        let LogSumExp { logits, labels, stats, range, temperature } = *self;
        let cap = scope.config.final_logit_softcapping;
        let [logits, labels, mut stats] = scope.operands([logits, labels, stats]);
        for i in 0..logits.len() {
            let row: Vec<f64> = logits.row(i)[..range.count as usize].iter().map(|&logit| capped(logit, cap) / temperature).collect();
            let stats = stats.row_mut(i);
            if range.first == 0 {
                stats.copy_from_slice(&[f64::NEG_INFINITY, 0.0, 0.0, 0.0]);
            }
            let top = row.iter().copied().fold(stats[0], f64::max);
            stats[1] = stats[1] * (stats[0] - top).exp() + row.iter().map(|logit| (logit - top).exp()).sum::<f64>();
            stats[0] = top;
            let label = labels.scalar(i) - f64::from(range.first);
            if (0.0..f64::from(range.count)).contains(&label) {
                stats[2] = row[label as usize];
            }
        }
    }
}

/// A logit after the soft cap: `cap · tanh(logit / cap)`.
pub(super) fn capped(logit: f64, cap: Option<f64>) -> f64 {
    cap.map_or(logit, |cap| cap * (logit / cap).tanh())
}
