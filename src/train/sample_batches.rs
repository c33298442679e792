//! The batches of a step that learns from completions.

use super::documents::filled_up;
use super::round::{Completion, Round};
use super::settings::Settings;
use crate::step::{Batch, BatchShape, GrpoSettings, SampleMean};

/// The batches of a step on a round, without what the reference says. Of a masked completion that has not ended nothing counts. What
/// completions leave of a batch of that shape is filled up with sequences without labels.
pub(super) fn sample_batches(settings: &Settings, grpo: &GrpoSettings, shape: BatchShape, round: &Round, is_masked: bool) -> Vec<Batch> {
    let of_batch = |completions: &[Completion]| {
        let sequences = completions.iter().map(|completion| completion.sequence(is_masked && !completion.is_ended)).collect();
        Batch::new(filled_up(sequences, shape.longest() as usize, shape.lengths().len()))
    };
    let per_batch = settings.batch as usize;
    let batches: Vec<Batch> = round.completions.chunks(per_batch).map(of_batch).collect();
    let labels = batches.iter().map(Batch::label_count).sum();
    let mean = SampleMean { batches: settings.accumulate, labels: Some(labels), ..grpo.mean() };
    let with_advantages = |(number, batch): (usize, Batch)| {
        let advantages = round.completions.chunks(per_batch).nth(number).into_iter().flatten().map(|completion| completion.advantage);
        let old_log_probs = round.old_log_probs.get(number).cloned().unwrap_or_default();
        batch.in_samples(mean, advantages.collect(), old_log_probs, Vec::new())
    };
    batches.into_iter().enumerate().map(with_advantages).collect()
}
