//! `metrics.loss += Σ w · loss(Δ)` over pairs, and `loss_weight[i] = −w · loss'(Δ) · ∂Δ/∂log_probs[i]`.

use super::scope::{Reference, Scope};
use crate::step::ops::Dpo;
use crate::step::update::metrics::LOSS;

impl Reference for Dpo {
    /// `log_probs`, `ref_log_probs` and `loss_weight` (N), `sequence_start` (2P+1), `sequence_log_probs` (2P×2), `metrics` (4).
    fn run(&self, scope: &mut Scope<'_>) {
        let Dpo { log_probs, sequence_start, ref_log_probs, loss_weight, sequence_log_probs, metrics, pairs, settings } = *self;
        let ids = [log_probs, sequence_start, ref_log_probs, loss_weight, sequence_log_probs, metrics];
        let [log_probs, start, reference, mut weight, mut sums, mut metrics] = scope.operands(ids);
        for chosen in (0..2 * pairs as usize).step_by(2) {
            let tokens = [chosen, chosen + 1].map(|sequence| start.scalar(sequence) as usize..start.scalar(sequence + 1) as usize);
            let labels = tokens.clone().map(|tokens| tokens.filter(|&i| weight.scalar(i) != 0.0).collect::<Vec<usize>>());
            let of_pair = labels.iter().flatten().map(|&i| weight.scalar(i)).fold(0.0, f64::max);
            let terms = labels.each_ref().map(|labels| if settings.has_means() { labels.len().max(1) as f64 } else { 1.0 });
            for (i, labels) in labels.iter().enumerate() {
                let model: f64 = labels.iter().map(|&i| log_probs.scalar(i)).sum();
                let less_reference: f64 = labels.iter().map(|&i| log_probs.scalar(i) - reference.scalar(i)).sum();
                sums.row_mut(chosen + i).copy_from_slice(&[model, less_reference]);
            }
            let (loss, slope) = settings.loss(sums.row(chosen)[1] / terms[0] - sums.row(chosen + 1)[1] / terms[1]);
            metrics.row_mut(0)[LOSS] += of_pair * loss;
            for (labels, (terms, sign)) in labels.iter().zip(terms.into_iter().zip([-1.0, 1.0])) {
                labels.iter().for_each(|&i| weight.row_mut(i)[0] = sign * of_pair * slope / terms);
            }
        }
    }
}
