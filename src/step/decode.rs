//! Generation: a chunk of new tokens goes through all layers, whose keys and values of earlier tokens are at hand.

use super::builder::Builder;
use super::forward::{self, Widths};
use super::{BatchShape, Kind, Op, Pass, Program, Rows, Strategy, TOKEN_TILE, TensorId, Walk};
use crate::model::{Config, Role};

impl Program {
    /// Logits for new tokens of one sequence of at most `context` tokens, with the keys and values of all layers kept.
    ///
    /// The one block is run for whichever run of at most [`TOKEN_TILE`] tokens comes next; the keys and values of
    /// what went before stay in their tensors, which therefore have memory of their own. Returns the logits' tensor.
    pub fn decode(config: &Config, context: u32) -> (Program, TensorId) {
        let chunk = TOKEN_TILE.min(context);
        let mut b = Builder::new(config, BatchShape::uniform(1, context), Strategy::stream(chunk, chunk));
        let logits = b.block(Pass::Forward, "decode", Walk::Ascending(chunk), |b| decode(b, chunk));
        (b.finish(), logits)
    }
}

fn decode(b: &mut Builder, chunk: u32) -> TensorId {
    let widths = Widths::of(b.config());
    let rows = Rows::Chunk(chunk);
    let mut x = b.in_layer(0, |b| b.tensor("input", Kind::Activations, rows, widths.hidden));
    forward::embed(b, x);
    for layer in 0..b.config().num_hidden_layers {
        x = b.in_layer(layer, |b| {
            let norm = forward::rms_norm(b, "attention_norm", x, Role::AttentionNorm, rows);
            let kv = forward::keys_values(b, norm.out);
            b.outlives_the_block(kv.k);
            b.outlives_the_block(kv.v);
            let a = forward::activations(b, x, norm, kv, rows);
            let out = b.tensor("output", Kind::Activations, rows, widths.hidden);
            b.push(Op::Linear { x: a.mlp, weight: b.weight(Role::Down), out, residual: Some(a.middle) });
            out
        });
    }
    let norm = forward::rms_norm(b, "final_norm", x, Role::FinalNorm, rows);
    let vocab = b.config().vocab_size.next_multiple_of(4);
    let logits = b.tensor("logits", Kind::Logits, rows, vocab);
    forward::linear(b, norm.out, Role::Head, logits);
    b.outlives_the_block(logits);
    logits
}
