//! `metrics.loss += Σ w · (policy loss + β · divergence)`, and `loss_weight[i] = −∂loss/∂log_probs[i]`.

use super::scope::{Reference, Scope};
use crate::step::ops::Grpo;
use crate::step::update::metrics::LOSS;
use crate::step::{GrpoSettings, ImportanceSamplingLevel};

/// A label: its place, its weight in the mean, and its log-ratios to the model that sampled it and, the other way round, to the reference.
struct Label {
    at: usize,
    weight: f64,
    log_ratio: f64,
    less_than_reference: f64,
}

impl Reference for Grpo {
    /// `log_probs`, `old_log_probs`, `ref_log_probs` and `loss_weight` (N), `sequence_start` (B+1), `advantages` (B), `sequence_metrics`
    /// (B×4), `metrics` (4).
    fn run(&self, scope: &mut Scope<'_>) {
        let Grpo { log_probs, sequence_start, advantages, loss_weight, sequence_metrics, metrics, settings, .. } = *self;
        let [old, reference] = [self.old_log_probs, self.ref_log_probs].map(|id| {
            let [values] = scope.operands([id.unwrap_or(log_probs)]);
            (0..values.len()).map(|i| values.scalar(i)).collect::<Vec<f64>>()
        });
        let ids = [log_probs, sequence_start, advantages, loss_weight, sequence_metrics, metrics];
        let [log_probs, start, advantages, mut weights, mut of_sequences, mut metrics] = scope.operands(ids);
        for sequence in 0..self.sequences as usize {
            let tokens = start.scalar(sequence) as usize..start.scalar(sequence + 1) as usize;
            let label = |at: usize| Label {
                at,
                weight: weights.scalar(at),
                log_ratio: log_probs.scalar(at) - old[at],
                less_than_reference: reference[at] - log_probs.scalar(at),
            };
            let labels: Vec<Label> = tokens.map(label).filter(|label| label.weight != 0.0).collect();
            let (loss, found) = of_sequence(&settings, &labels, advantages.scalar(sequence), |at, weight| weights.row_mut(at)[0] = weight);
            metrics.row_mut(0)[LOSS] += loss;
            of_sequences.row_mut(sequence).copy_from_slice(&found);
        }
    }
}

/// The loss of a sequence, and its metrics. `write` is given the weight of each label in the gradient.
fn of_sequence(settings: &GrpoSettings, labels: &[Label], advantage: f64, mut write: impl FnMut(usize, f64)) -> (f64, [f64; 4]) {
    let count = labels.len() as f64;
    let mean = labels.iter().map(|label| label.log_ratio).sum::<f64>() / count.max(1.0);
    let all: f64 = labels.iter().map(|label| label.weight).sum();
    let by_sequence = settings.importance_sampling_level == ImportanceSamplingLevel::Sequence;
    let divergence = |label: &Label| GrpoSettings::divergence(label.less_than_reference);
    let all_divergence: f64 = labels.iter().map(|label| label.weight * divergence(label).0).sum();
    let (mut loss, mut found) = (0.0, [0.0, 0.0, 0.0, count]);
    for (place, label) in labels.iter().enumerate() {
        let (log_ratio, share) = if by_sequence { (mean, all / count) } else { (label.log_ratio, label.weight) };
        let (policy_loss, slope) = settings.policy_loss(log_ratio, advantage);
        let (divergence, slope_of_it) = divergence(label);
        // What it is multiplied by, and the slope of that, summed over the labels that have the same ratio.
        let (ratio, slope_of_ratio) = match settings.use_bias_correction_kl {
            true if by_sequence => (log_ratio.exp(), log_ratio.exp() * all_divergence / count),
            true => (log_ratio.exp(), log_ratio.exp() * label.weight * divergence),
            false => (1.0, 0.0),
        };
        loss += label.weight * (policy_loss + settings.beta * ratio * divergence);
        write(label.at, -share * slope - settings.beta * (slope_of_ratio + label.weight * ratio * slope_of_it));
        found[0] += ratio * divergence;
        // The ratio of a sequence counts once.
        if !by_sequence || place == 0 {
            let [low, high] = settings.is_clipped(log_ratio, advantage).map(|is_clipped| f64::from(u8::from(is_clipped)));
            (found[1], found[2]) = (found[1] + low, found[2] + high);
        }
    }
    (loss, found)
}
