//! The loss head: the last hidden state to log-probabilities, and back to its own gradient, in place.

use super::builder::Builder;
use super::forward::{Widths, linear, rms_norm};
use super::{Kind, Op, Pass, Rows, TensorId, Walk};
use crate::model::Role;

/// Writes the loss: chunk by chunk, last to first, `hidden` (N×D) is overwritten by its gradient.
///
/// The logits are never longer than one logits chunk. An objective is what the batch's `loss_weight` says:
/// −∂loss/∂log_prob of every token; for cross-entropy that is 1 / (labels of the whole batch).
pub fn write(b: &mut Builder, hidden: TensorId) {
    let chunk = b.program.strategy.logits_chunk(b.tokens());
    b.block(Pass::Loss, "loss", Walk::Descending(chunk), |b| head(b, hidden, Rows::Chunk(chunk)));
    let (log_probs, loss_weight, metrics) = {
        let bindings = &b.program.bindings;
        (bindings.log_probs, bindings.loss_weight, bindings.metrics)
    };
    b.block(Pass::Loss, "loss sum", Walk::Once, |b| b.push(Op::Loss { log_probs, loss_weight, metrics }));
}

fn head(b: &mut Builder, hidden: TensorId, rows: Rows) {
    let width = Widths::of(b.config()).hidden;
    let vocab = b.config().vocab_size.next_multiple_of(4);
    let norm = rms_norm(b, "final_norm", hidden, Role::FinalNorm, rows);
    let logits = b.tensor("logits", Kind::Logits, rows, vocab);
    linear(b, norm.out, Role::Head, logits);
    let (labels, loss_weight, log_probs) = {
        let bindings = &b.program.bindings;
        (bindings.labels, bindings.loss_weight, bindings.log_probs)
    };
    b.push(Op::CrossEntropy { logits, labels, loss_weight, log_probs });

    let d_logits = logits;
    b.push(Op::LinearWeightGrad { d_out: d_logits, x: norm.out, d_weight: b.gradient(Role::Head) });
    let d_norm = b.tensor("d_final_norm", Kind::Activations, rows, width);
    b.push(Op::LinearGrad { d_out: d_logits, weight: b.weight(Role::Head), d_x: d_norm, accumulate: false });
    b.push(Op::RmsNormWeightGrad { x: hidden, rstd: norm.rstd, d_out: d_norm, d_weight: b.gradient(Role::FinalNorm) });
    b.push(Op::RmsNormGrad { x: None, rstd: norm.rstd, weight: b.weight(Role::FinalNorm), d_out: d_norm, d_x: hidden });
}
