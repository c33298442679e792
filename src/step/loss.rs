//! The loss head: from the last hidden state to log-probabilities, and back to the gradient of the hidden state, in place.

use super::backward;
use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::exchange;
use super::forward::{NormOutput, Widths, final_norm, whole_row};
use super::objective::{DpoSettings, GrpoSettings, Objective};
use super::ops::{CrossEntropy, Dpo, Grpo, Linear, LinearGrad, LinearWeightGrad, LogSumExp, Loss, VocabRange};
use super::program::{Bindings, PairBindings, Pass, SampleBindings};
use super::tensor::{Rows, TensorId, TensorKind};
use crate::model::Role;

/// Appends the loss. Chunk by chunk, last to first, `hidden` (N×D) is overwritten by its gradient.
///
/// The logits have at most C' rows (a logits chunk) and as many columns as the strategy's range of the vocabulary. The batch's
/// `loss_weight` defines the objective: −∂loss/∂log_prob of every token. For cross-entropy that is 1 / (labels of the whole batch), and the
/// host knows it. Other objectives compute it of all log-probabilities, for which the head runs once before.
///
/// `meanwhile` appends what a rank does before it waits for the loss heads of later ranks. Returns what that returns.
pub fn write<T>(b: &mut Builder, hidden: TensorId, meanwhile: impl FnOnce(&mut Builder) -> T) -> T {
    if b.program.objective != Objective::CrossEntropy {
        write_log_probs(b, hidden);
        exchange::log_probs_to_all(b);
        b.block(Pass::Loss, "objective", ChunkOrder::Whole, |b| match b.program.objective {
            Objective::CrossEntropy => unreachable!("it knows its weights"),
            Objective::Dpo(settings) => dpo(b, settings),
            Objective::Grpo(settings) => grpo(b, settings),
        });
    }
    let chunk = b.program.strategy.logits_chunk(b.share().tokens());
    let done_meanwhile = meanwhile(b);
    exchange::begin_head(b);
    b.block(Pass::Loss, "loss", ChunkOrder::Descending(chunk), |b| b.for_labels(|b| head(b, hidden)));
    exchange::end_head(b);
    if b.program.objective == Objective::CrossEntropy {
        exchange::log_probs_to_first(b);
        let Bindings { log_probs, loss_weight, metrics, .. } = b.program.bindings;
        b.block(Pass::Loss, "loss sum", ChunkOrder::Whole, |b| b.push(Loss { log_probs, loss_weight, metrics }));
    }
    done_meanwhile
}

fn dpo(b: &mut Builder, settings: DpoSettings) {
    let Bindings { log_probs, loss_weight, metrics, pairs, .. } = b.program.bindings;
    let PairBindings { sequence_start, ref_log_probs, sequence_log_probs } = pairs.expect("the objective has added them");
    let pairs = b.program.batch.lengths().len() as u32 / 2;
    b.push(Dpo { log_probs, sequence_start, ref_log_probs, loss_weight, sequence_log_probs, metrics, pairs, settings });
}

fn grpo(b: &mut Builder, settings: GrpoSettings) {
    let Bindings { log_probs, loss_weight, metrics, samples, .. } = b.program.bindings;
    let samples = samples.expect("the objective has added them");
    let SampleBindings { sequence_start, advantages, old_log_probs, ref_log_probs, sequence_metrics } = samples;
    let sequences = b.program.batch.lengths().len() as u32;
    b.push(Grpo {
        log_probs,
        sequence_start,
        advantages,
        old_log_probs,
        ref_log_probs,
        loss_weight,
        sequence_metrics,
        metrics,
        sequences,
        settings,
    });
}

/// Goes through the vocabulary in ranges: first the log-sum-exp over all ranges, then the gradient of each range. With one range its logits
/// are still alive; with several they are recomputed.
fn head(b: &mut Builder, hidden: TensorId) {
    let width = Widths::of(b.config()).hidden;
    let ranges = ranges(b);
    let norm = final_norm(b, hidden);
    let (stats, first_logits) = log_sum_exp(b, norm.out, &ranges);
    let d_norm = b.tensor("d_final_norm", TensorKind::Activations, Rows::Chunk, width);
    let is_still_there = ranges.len() == 1;
    for (&range, first_logits) in ranges.iter().zip(first_logits) {
        let logits = if is_still_there { first_logits } else { logits_of(b, norm.out, range) };
        block_backward(b, logits, &norm, (stats, d_norm), range);
    }
    let groups = whole_row(b);
    backward::norm_backward(b, norm.of(hidden), Role::FinalNorm, d_norm, None, groups);
}

/// Appends the log-probabilities of the labels, without a gradient.
pub fn write_log_probs(b: &mut Builder, hidden: TensorId) {
    let chunk = b.program.strategy.logits_chunk(b.share().tokens());
    let write = |b: &mut Builder| {
        let ranges = ranges(b);
        let norm = final_norm(b, hidden);
        let (stats, logits) = log_sum_exp(b, norm.out, &ranges);
        // The statistics are those of the whole vocabulary now, so that any range gives the log-probabilities.
        let (Some(&logits), Some(&range)) = (logits.last(), ranges.last()) else { unreachable!("there is a vocabulary") };
        cross_entropy(b, logits, stats, range);
    };
    b.block(Pass::Loss, "log-probabilities", ChunkOrder::Ascending(chunk), |b| b.for_labels(write));
}

/// The log-sum-exp over all ranges of the vocabulary (C'×4), and the logits of each range.
fn log_sum_exp(b: &mut Builder, x: TensorId, ranges: &[VocabRange]) -> (TensorId, Vec<TensorId>) {
    let stats = b.tensor("logits.stats", TensorKind::Activations, Rows::Chunk, 4);
    let logits_of_range = |&range: &VocabRange| {
        let logits = logits_of(b, x, range);
        let temperature = b.temperature;
        b.push(LogSumExp { logits, labels: b.program.bindings.labels, stats, range, temperature });
        logits
    };
    (stats, ranges.iter().map(logits_of_range).collect())
}

/// The vocabulary, split into ranges of the strategy's length.
fn ranges(b: &Builder) -> Vec<VocabRange> {
    let all = b.config().vocab_size;
    let most = b.program.strategy.vocab_range_len(b.share().tokens(), all);
    (0..all.div_ceil(most)).map(|i| VocabRange { first: i * most, count: most.min(all - i * most) }).collect()
}

/// The logits of a range of the vocabulary (C'×range).
pub(super) fn logits_of(b: &mut Builder, x: TensorId, range: VocabRange) -> TensorId {
    let out = b.tensor("logits", TensorKind::Logits, Rows::Chunk, range.count.next_multiple_of(4));
    for rows in b.slices(Role::LmHead) {
        if let Some(slice) = rows.within(range.first, range.count.next_multiple_of(4)) {
            let weight = rows.value;
            b.push(Linear { x, weight, out, bias: None, residual: None, slice, scale: 1.0, accumulate: false });
        }
    }
    out
}

/// Overwrites the logits of a range with their gradient, and writes the log-probabilities of the labels in it.
fn cross_entropy(b: &mut Builder, logits: TensorId, stats: TensorId, range: VocabRange) {
    let (labels, loss_weight, log_probs) = {
        let bindings = &b.program.bindings;
        (bindings.labels, bindings.loss_weight, bindings.log_probs)
    };
    let temperature = b.temperature;
    b.push(CrossEntropy { logits, labels, loss_weight, stats, log_probs, range, temperature });
}

/// Overwrites the logits of a range with their gradient, and propagates it to the LM head's weights and to the norm's output. Each range
/// accumulates onto the previous one, so the order of the sum over the vocabulary does not depend on the number of ranges.
fn block_backward(b: &mut Builder, logits: TensorId, norm: &NormOutput, (stats, d_norm): (TensorId, TensorId), range: VocabRange) {
    cross_entropy(b, logits, stats, range);
    let d_logits = logits;
    let padded = range.count.next_multiple_of(4);
    for rows in b.slices(Role::LmHead) {
        if let (Some(d_weight), Some(slice)) = (rows.gradient, rows.within(range.first, padded)) {
            b.push(LinearWeightGrad { d_out: d_logits, x: norm.out, d_weight, slice });
        }
    }
    // Where the vocabulary is large the step has its peak here, and `d_norm` can lie where the norm's output did.
    b.begin_run();
    for rows in b.slices(Role::LmHead) {
        if let Some(slice) = rows.within(range.first, padded) {
            let accumulate = range.first + slice.col > 0;
            b.push(LinearGrad { d_out: d_logits, weight: rows.value, d_x: d_norm, slice, scale: 1.0, accumulate });
        }
    }
}
