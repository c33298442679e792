//! Generation: a chunk of new tokens goes through all layers, with a KV cache of the earlier tokens.

use super::batch::BatchShape;
use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::forward::{self, Widths};
use super::loss;
use super::ops::VocabRange;
use super::program::{Pass, Program};
use super::strategy::Strategy;
use super::tensor::{Rows, TOKEN_TILE, TensorId, TensorKind};
use crate::model::ModelSpec;

impl Program {
    /// A program that computes logits for new tokens of one sequence of at most `context` tokens, with a KV cache in every layer.
    ///
    /// Its one block runs for the next range of tokens, which must lie within one tile of [`TOKEN_TILE`] tokens. The keys and values of
    /// earlier tokens persist, so their tensors have buffers of their own. No batch is loaded: `segment_start` is initially zero, which
    /// means one sequence. Returns the program and the tensor of the logits (C×V).
    pub fn decode(spec: impl Into<ModelSpec>, context: u32) -> (Program, TensorId) {
        let chunk = TOKEN_TILE.min(context);
        let mut b = Builder::new(spec, BatchShape::uniform(1, context), Strategy::stream(chunk, chunk));
        let logits = b.block(Pass::Forward, "decode", ChunkOrder::Ascending(chunk), decode);
        (b.finish(), logits)
    }
}

fn decode(b: &mut Builder) -> TensorId {
    let widths = Widths::of(b.config());
    let mut x = b.in_layer(0, |b| b.tensor("input", TensorKind::Activations, Rows::Chunk, widths.hidden));
    forward::embed(b, x);
    for layer in 0..b.config().num_hidden_layers {
        x = b.in_layer(layer, |b| {
            let out = b.tensor("output", TensorKind::Activations, Rows::Chunk, widths.hidden);
            let kv = forward::layer_forward(b, x, out).kv;
            [Some(kv.k), Some(kv.v), kv.k_rstd].into_iter().flatten().for_each(|cached| b.outlives_the_block(cached));
            out
        });
    }
    let norm = forward::final_norm(b, x);
    let range = VocabRange { first: 0, count: b.config().vocab_size };
    let logits = loss::logits_of(b, norm.out, range);
    b.outlives_the_block(logits);
    logits
}
