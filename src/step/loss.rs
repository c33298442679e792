//! The loss head: the last hidden state to log-probabilities, and back to its own gradient, in place.

use super::backward;
use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::forward::{NormOutput, Widths, final_norm, whole_row};
use super::ops::{CrossEntropy, Linear, LinearGrad, LinearWeightGrad, LogSumExp, Loss, VocabRange};
use super::program::Pass;
use super::tensor::{Rows, TensorId, TensorKind};
use crate::model::Role;

/// Writes the loss: chunk by chunk, last to first, `hidden` (N×D) is overwritten by its gradient.
///
/// The logits are never longer than one logits chunk, and never wider than the strategy's block of range. An objective is what
/// the batch's `loss_weight` says: −∂loss/∂log_prob of every token; for cross-entropy that is 1 / (labels of the whole batch).
pub fn write(b: &mut Builder, hidden: TensorId) {
    let chunk = b.program.strategy.logits_chunk(b.tokens());
    b.block(Pass::Loss, "loss", ChunkOrder::Descending(chunk), |b| head(b, hidden));
    let (log_probs, loss_weight, metrics) = {
        let bindings = &b.program.bindings;
        (bindings.log_probs, bindings.loss_weight, bindings.metrics)
    };
    b.block(Pass::Loss, "loss sum", ChunkOrder::Whole, |b| b.push(Loss { log_probs, loss_weight, metrics }));
}

/// The vocabulary in blocks: first the log of the sum of exponentials over all of them, then each block's gradient. With one
/// block its logits are still there; with several they are computed again.
fn head(b: &mut Builder, hidden: TensorId) {
    let width = Widths::of(b.config()).hidden;
    let ranges = ranges(b);
    let norm = final_norm(b, hidden);
    let stats = b.tensor("logits.stats", TensorKind::Activations, Rows::Chunk, 4);
    let mut first_logits = Vec::new();
    for &range in &ranges {
        let logits = logits_of(b, norm.out, range);
        b.push(LogSumExp { logits, labels: b.program.bindings.labels, stats, range });
        first_logits.push(logits);
    }
    let d_norm = b.tensor("d_final_norm", TensorKind::Activations, Rows::Chunk, width);
    let is_still_there = ranges.len() == 1;
    for (&range, first_logits) in ranges.iter().zip(first_logits) {
        let logits = if is_still_there { first_logits } else { logits_of(b, norm.out, range) };
        block_backward(b, logits, &norm, (stats, d_norm), range);
    }
    let groups = whole_row(b);
    backward::norm_backward(b, norm.of(hidden), Role::FinalNorm, d_norm, None, groups);
}

/// The vocabulary, cut as the strategy says.
fn ranges(b: &Builder) -> Vec<VocabRange> {
    let all = b.config().vocab_size;
    let most = b.program.strategy.vocab_range_len(b.tokens(), all);
    (0..all.div_ceil(most)).map(|i| VocabRange { first: i * most, count: most.min(all - i * most) }).collect()
}

/// The logits of a block of range.
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

/// The logits become their gradient, which goes on to the head's weights and to the norm's output. Every block goes on from what
/// the last one left there, so the sum over words has one order however many blocks there are.
fn block_backward(b: &mut Builder, logits: TensorId, norm: &NormOutput, (stats, d_norm): (TensorId, TensorId), range: VocabRange) {
    let (labels, loss_weight, log_probs) = {
        let bindings = &b.program.bindings;
        (bindings.labels, bindings.loss_weight, bindings.log_probs)
    };
    b.push(CrossEntropy { logits, labels, loss_weight, stats, log_probs, range });
    let d_logits = logits;
    let padded = range.count.next_multiple_of(4);
    for rows in b.slices(Role::LmHead) {
        if let (Some(d_weight), Some(slice)) = (rows.gradient, rows.within(range.first, padded)) {
            b.push(LinearWeightGrad { d_out: d_logits, x: norm.out, d_weight, slice });
        }
    }
    for rows in b.slices(Role::LmHead) {
        if let Some(slice) = rows.within(range.first, padded) {
            let accumulate = range.first + slice.col > 0;
            b.push(LinearGrad { d_out: d_logits, weight: rows.value, d_x: d_norm, slice, scale: 1.0, accumulate });
        }
    }
}
