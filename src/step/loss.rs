//! The loss head: the last hidden state to log-probabilities, and back to its own gradient, in place.

use super::builder::Builder;
use super::forward::{Normed, Widths, final_norm, whole_row};
use super::{Kind, Op, Pass, Rows, TensorId, Walk, Words, backward};
use crate::model::Role;

/// Writes the loss: chunk by chunk, last to first, `hidden` (N×D) is overwritten by its gradient.
///
/// The logits are never longer than one logits chunk, and never wider than the strategy's block of words. An objective is what
/// the batch's `loss_weight` says: −∂loss/∂log_prob of every token; for cross-entropy that is 1 / (labels of the whole batch).
pub fn write(b: &mut Builder, hidden: TensorId) {
    let chunk = b.program.strategy.logits_chunk(b.tokens());
    b.block(Pass::Loss, "loss", Walk::Descending(chunk), |b| head(b, hidden, Rows::Chunk(chunk)));
    let (log_probs, loss_weight, metrics) = {
        let bindings = &b.program.bindings;
        (bindings.log_probs, bindings.loss_weight, bindings.metrics)
    };
    b.block(Pass::Loss, "loss sum", Walk::Once, |b| b.push(Op::Loss { log_probs, loss_weight, metrics }));
}

/// The vocabulary in blocks: first the log of the sum of exponentials over all of them, then each block's gradient. With one
/// block its logits are still there; with several they are computed again.
fn head(b: &mut Builder, hidden: TensorId, rows: Rows) {
    let width = Widths::of(b.config()).hidden;
    let blocks = blocks(b);
    let norm = final_norm(b, hidden, rows);
    let stats = b.tensor("logits.stats", Kind::Activations, rows, 4);
    let mut first_logits = Vec::new();
    for &words in &blocks {
        let logits = logits_of(b, norm.out, words, rows);
        b.push(Op::LogSumExp { logits, labels: b.program.bindings.labels, stats, words });
        first_logits.push(logits);
    }
    let d_norm = b.tensor("d_final_norm", Kind::Activations, rows, width);
    let is_still_there = blocks.len() == 1;
    for (&words, first_logits) in blocks.iter().zip(first_logits) {
        let logits = if is_still_there { first_logits } else { logits_of(b, norm.out, words, rows) };
        block_backward(b, logits, &norm, (stats, d_norm), words);
    }
    let groups = whole_row(b);
    backward::norm_backward(b, norm.of(hidden), Role::FinalNorm, d_norm, None, groups);
}

/// The vocabulary, cut as the strategy says.
fn blocks(b: &Builder) -> Vec<Words> {
    let all = b.config().vocab_size;
    let most = b.program.strategy.logits_words(b.tokens(), all);
    (0..all.div_ceil(most)).map(|i| Words { first: i * most, count: most.min(all - i * most) }).collect()
}

/// The logits of a block of words.
pub(super) fn logits_of(b: &mut Builder, x: TensorId, words: Words, rows: Rows) -> TensorId {
    let out = b.tensor("logits", Kind::Logits, rows, words.count.next_multiple_of(4));
    for part in b.weight(Role::Head) {
        if let Some(slice) = part.within(words.first, words.count.next_multiple_of(4)) {
            let weight = part.tensor;
            b.push(Op::Linear { x, weight, out, bias: None, residual: None, slice, scale: 1.0, accumulate: false });
        }
    }
    out
}

/// The logits become their gradient, which goes on to the head's weights and to the norm's output. Every block goes on from what
/// the last one left there, so the sum over words has one order however many blocks there are.
fn block_backward(b: &mut Builder, logits: TensorId, norm: &Normed, (stats, d_norm): (TensorId, TensorId), words: Words) {
    let (labels, loss_weight, log_probs) = {
        let bindings = &b.program.bindings;
        (bindings.labels, bindings.loss_weight, bindings.log_probs)
    };
    b.push(Op::CrossEntropy { logits, labels, loss_weight, stats, log_probs, words });
    let d_logits = logits;
    let padded = words.count.next_multiple_of(4);
    for part in b.gradient(Role::Head) {
        if let Some(slice) = part.within(words.first, padded) {
            b.push(Op::LinearWeightGrad { d_out: d_logits, x: norm.out, d_weight: part.tensor, slice });
        }
    }
    for part in b.weight(Role::Head) {
        if let Some(slice) = part.within(words.first, padded) {
            let accumulate = words.first + slice.col > 0;
            b.push(Op::LinearGrad { d_out: d_logits, weight: part.tensor, d_x: d_norm, slice, scale: 1.0, accumulate });
        }
    }
}
