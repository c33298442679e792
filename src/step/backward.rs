//! The backward pass: `d_hidden` (N×D) goes from the last layer's output to the embedding, in place.

use super::builder::Builder;
use super::forward::{self, Activations, Kept, KeptLayer, KeysValues, LayerInput, Normed, Widths};
use super::{Kind, Op, Pass, Rows, TensorId, Walk};
use crate::model::Role;

/// Writes the backward pass.
pub fn write(b: &mut Builder, kept: Kept) {
    let d_hidden = kept.hidden;
    for (layer, kept) in kept.layers.into_iter().enumerate().rev() {
        b.in_layer(layer as u32, |b| layer_backward(b, kept, d_hidden));
    }
    let (token_order, token_start) = (b.program.bindings.token_order, b.program.bindings.token_start);
    b.block(Pass::Backward, "embedding gradient", Walk::Once, |b| {
        b.push(Op::EmbeddingGrad { d_out: d_hidden, token_order, token_start, d_weight: b.gradient(Role::Embedding) });
    });
}

/// One layer: keys and values once for all tokens, then the chunks from the last to the first.
fn layer_backward(b: &mut Builder, kept: KeptLayer, d_hidden: TensorId) {
    let chunk = b.program.strategy.chunk(b.tokens());
    let (kv, kept_activations) = match kept.inside {
        Some((kv, activations)) => (kv, Some(activations)),
        None => (recompute_keys_values(b, kept.input, chunk), None),
    };
    let width = Widths::of(b.config()).keys;
    let d_kv = b.block(Pass::Backward, "clear key and value gradients", Walk::Once, |b| {
        let [k, v] = ["d_k", "d_v"].map(|name| b.tensor(name, Kind::KeysValuesGradients, Rows::Tokens, width));
        [k, v].into_iter().for_each(|out| b.push(Op::Zero { out }));
        KeysValues { k, v }
    });
    b.block(Pass::Backward, "backward", Walk::Descending(chunk), |b| {
        let x = forward::chunk_input(b, kept.input, chunk);
        let activations = kept_activations.unwrap_or_else(|| {
            let rows = Rows::Chunk(chunk);
            let norm = forward::rms_norm(b, "attention_norm", x, Role::AttentionNorm, rows);
            forward::activations(b, x, norm, kv, rows)
        });
        mlp_backward(b, &activations, d_hidden, chunk);
        attention_backward(b, &activations, x, kv, d_kv, d_hidden, chunk);
    });
}

/// Keys and values of the layer for all tokens, as the forward pass computed them.
fn recompute_keys_values(b: &mut Builder, input: LayerInput, chunk: u32) -> KeysValues {
    b.block(Pass::Backward, "recompute keys and values", Walk::Ascending(chunk), |b| {
        let x = forward::chunk_input(b, input, chunk);
        let norm = forward::rms_norm(b, "attention_norm", x, Role::AttentionNorm, Rows::Chunk(chunk));
        forward::keys_values(b, norm.out)
    })
}

/// Back through the MLP, its norm and the residual around them.
fn mlp_backward(b: &mut Builder, a: &Activations, d_hidden: TensorId, chunk: u32) {
    let widths = Widths::of(b.config());
    let d_mlp = b.tensor("d_mlp", Kind::Activations, Rows::Chunk(chunk), widths.mlp);
    linear_grad(b, d_hidden, Role::Down, d_mlp, false);
    linear_weight_grad(b, d_hidden, a.mlp, Role::Down);
    b.push(Op::SwiGluGrad { d_out: d_mlp, gate: a.gate, up: a.up });
    let (d_gate, d_up) = (a.gate, a.up);
    linear_weight_grad(b, d_gate, a.mlp_norm.out, Role::Gate);
    linear_weight_grad(b, d_up, a.mlp_norm.out, Role::Up);
    let d_norm = b.tensor("d_mlp_norm", Kind::Activations, Rows::Chunk(chunk), widths.hidden);
    linear_grad(b, d_gate, Role::Gate, d_norm, false);
    linear_grad(b, d_up, Role::Up, d_norm, true);
    norm_backward(b, a.middle, a.mlp_norm, Role::MlpNorm, d_norm, d_hidden);
}

/// Back through the attention, its norm and the residual around them. Every later chunk has been walked, so when the
/// chunk's queries have had their say, `d_k` and `d_v` of the chunk are complete and go through their projections at once.
fn attention_backward(b: &mut Builder, a: &Activations, x: TensorId, kv: KeysValues, d_kv: KeysValues, d_hidden: TensorId, chunk: u32) {
    let widths = Widths::of(b.config());
    let segment_start = b.program.bindings.segment_start;
    let d_out = b.tensor("d_attention", Kind::Activations, Rows::Chunk(chunk), widths.queries);
    linear_grad(b, d_hidden, Role::Output, d_out, false);
    linear_weight_grad(b, d_hidden, a.attention, Role::Output);

    let d_q = b.tensor("d_q", Kind::Activations, Rows::Chunk(chunk), widths.queries);
    let KeysValues { k, v } = kv;
    b.push(Op::AttentionQueryGrad { q: a.q, k, v, segment_start, out: a.attention, d_out, stats: a.stats, d_q });
    b.push(Op::AttentionKeyValueGrad { q: a.q, k, v, segment_start, d_out, stats: a.stats, d_k: d_kv.k, d_v: d_kv.v });
    forward::rope(b, d_q, true);
    forward::rope(b, d_kv.k, true);

    let projections = [(d_q, Role::Query), (d_kv.k, Role::Key), (d_kv.v, Role::Value)];
    for (d_projection, role) in projections {
        linear_weight_grad(b, d_projection, a.attention_norm.out, role);
    }
    let d_norm = b.tensor("d_attention_norm", Kind::Activations, Rows::Chunk(chunk), widths.hidden);
    for (i, (d_projection, role)) in projections.into_iter().enumerate() {
        linear_grad(b, d_projection, role, d_norm, i > 0);
    }
    norm_backward(b, x, a.attention_norm, Role::AttentionNorm, d_norm, d_hidden);
}

/// `d_hidden` already holds what goes around the norm; what goes through it is added.
fn norm_backward(b: &mut Builder, x: TensorId, norm: Normed, role: Role, d_out: TensorId, d_hidden: TensorId) {
    b.push(Op::RmsNormWeightGrad { x, rstd: norm.rstd, d_out, d_weight: b.gradient(role) });
    b.push(Op::RmsNormGrad { x: Some(x), rstd: norm.rstd, weight: b.weight(role), d_out, d_x: d_hidden });
}

fn linear_grad(b: &mut Builder, d_out: TensorId, role: Role, d_x: TensorId, accumulate: bool) {
    b.push(Op::LinearGrad { d_out, weight: b.weight(role), d_x, accumulate });
}

fn linear_weight_grad(b: &mut Builder, d_out: TensorId, x: TensorId, role: Role) {
    b.push(Op::LinearWeightGrad { d_out, x, d_weight: b.gradient(role) });
}
