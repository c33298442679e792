//! The batches of a step that learns from completions.

use super::documents::filled_up;
use super::round::{Completion, Round};
use super::settings::Settings;
use crate::step::{Batch, BatchShape, GrpoSettings, SampleMean};

/// The batches of a step on a round, without what the reference says. Of a masked completion that has not ended nothing counts. What
/// completions leave of a batch of that shape is filled up with sequences without labels.
pub(super) fn sample_batches(settings: &Settings, grpo: &GrpoSettings, shape: &BatchShape, round: &Round, is_masked: bool) -> Vec<Batch> {
    let parts = || round.completions.chunks(settings.batch as usize);
    let of_part = |completions: &[Completion]| {
        let sequences = completions.iter().map(|completion| completion.sequence(is_masked && !completion.is_ended)).collect();
        Batch::new(filled_up(sequences, shape.longest() as usize, shape.lengths().len()))
    };
    let batches: Vec<Batch> = parts().map(of_part).collect();
    let labels = batches.iter().map(Batch::label_count).sum();
    let mean = SampleMean { batches: settings.accumulate, labels: Some(labels), ..grpo.mean() };
    let old_log_probs = round.old_log_probs.iter().cloned().chain(std::iter::repeat(Vec::new()));
    let with_advantages = |((batch, completions), old_log_probs): ((Batch, &[Completion]), Vec<f32>)| {
        let advantages = completions.iter().map(|completion| completion.advantage).collect();
        batch.in_samples(mean, advantages, old_log_probs, Vec::new())
    };
    batches.into_iter().zip(parts()).zip(old_log_probs).map(with_advantages).collect()
}
