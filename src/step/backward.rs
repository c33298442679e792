//! The backward pass: propagates `d_hidden` (N×D) in place, from the output of the last layer to the embedding, or to the lowest layer with
//! a trainable parameter.
//!
//! Each layer, or each group of layers, goes through its chunks from last to first and recomputes what the strategy did not save.

use std::collections::VecDeque;
use std::ops::Range;

use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::exchange;
use super::forward::{self, Activations, ForwardState, KeysValues, LayerInput, LoraIntermediates, NormInput, Widths};
use super::message::Batches;
use super::ops::{
    AttentionKeyValueGrad, AttentionQueryGrad, BiasGrad, EmbeddingGrad, GluGrad, LinearGrad, LinearWeightGrad, NormGroups, RmsNormGrad,
    RmsNormWeightGrad, Zero,
};
use super::program::{ParameterSlice, Pass};
use super::tensor::{Rows, TensorId, TensorKind};
use crate::model::{Projection, Role};

/// Groups of layers whose keys and values have been recomputed, from the last on, each with the input of its first layer.
pub(super) struct Prepared(VecDeque<(LayerInput, Vec<KeyValueGradients>)>);

/// Prepares as many groups of layers as there are ranks behind this one. Where the batch lies on several ranks, each waits for the one behind
/// it, which sees its keys. So that this one need not wait in turn, they are always as many groups ahead.
pub(super) fn prepare_ahead(b: &mut Builder, state: &ForwardState) -> Prepared {
    let groups: Vec<Range<u32>> = b.layer_groups().into_iter().rev().take(groups_ahead(b)).collect();
    b.for_batches(Batches::Trained, |b| {
        let prepare = |group: &Range<u32>| prepare(b, Pass::Loss, group, state.inputs[group.start as usize]);
        Prepared(groups.iter().map(prepare).collect())
    })
}

fn groups_ahead(b: &Builder) -> usize {
    b.program.batch.split().map_or(0, |split| split.followers() as usize)
}

/// Appends the backward pass. `state.hidden` holds the gradient of the last hidden state when it starts.
pub(super) fn write(b: &mut Builder, state: &ForwardState, Prepared(mut prepared): Prepared) {
    exchange::return_tied_head(b);
    let groups: Vec<Range<u32>> = b.layer_groups().into_iter().rev().collect();
    let ahead = groups_ahead(b);
    for (number, group) in groups.iter().enumerate() {
        if let Some(next) = groups.get(number + ahead) {
            prepared.push_back(prepare(b, Pass::Backward, next, state.inputs[next.start as usize]));
        }
        let (input, gradients) = prepared.pop_front().expect("it was prepared in this slot or before");
        group_backward(b, group, input, &gradients, state.hidden);
    }
    embedding_backward(b, state.hidden);
}

fn embedding_backward(b: &mut Builder, d_hidden: TensorId) {
    let (token_order, token_start) = (b.program.bindings.token_order, b.program.bindings.token_start);
    let gradients = b.gradients(Role::Embedding);
    exchange::begin_embedding(b);
    b.block(Pass::Backward, "embedding gradient", ChunkOrder::Whole, |b| {
        for (d_weight, rows) in gradients {
            let first_id = rows.col;
            b.push(EmbeddingGrad { d_out: d_hidden, token_order, token_start, d_weight, first_id });
        }
    });
    exchange::end_embedding(b);
}

/// The gradients of keys and values of a layer (each K·E): N rows, or a ring.
#[derive(Clone, Copy)]
struct KeyValueGradients {
    layer: u32,
    rows: Rows,
    d_kv: [TensorId; 2],
}

impl KeyValueGradients {
    fn new(b: &mut Builder, rows: Rows) -> Self {
        let width = Widths::of(b.config()).keys;
        let d_kv = ["d_k", "d_v"].map(|name| b.tensor(name, TensorKind::KeysValuesGradients, rows, width));
        KeyValueGradients { layer: b.layer(), rows, d_kv }
    }

    /// The number of chunks that it has room for, if it is a ring.
    fn chunks_of_ring(&self, chunk: u32) -> Option<u32> {
        if let Rows::Ring(ring) = self.rows { Some(ring / chunk) } else { None }
    }

    fn clear(&self, b: &mut Builder) {
        // A rank clears also what it hands on.
        let all = b.is_split();
        b.in_layer(self.layer, |b| self.d_kv.into_iter().for_each(|out| b.push(Zero { out, all })));
    }
}

/// Prepares the backward pass of a group of layers: keys and values are recomputed for all tokens, except in a layer on its own with a
/// sliding window.
fn prepare(b: &mut Builder, pass: Pass, group: &Range<u32>, input: LayerInput) -> (LayerInput, Vec<KeyValueGradients>) {
    let (chunk, is_on_its_own) = (b.chunk(), group.len() == 1);
    let new = |b: &mut Builder| {
        let rows = if is_on_its_own { b.key_rows() } else { b.ring() };
        KeyValueGradients::new(b, rows)
    };
    let gradients: Vec<KeyValueGradients> = group.clone().map(|layer| b.in_layer(layer, new)).collect();
    if b.is_split() {
        prepare_on_ranks(b, pass, group, input);
    } else if !has_ring_of_keys(&gradients, chunk) {
        let order = ChunkOrder::Ascending(chunk);
        b.block_of(group, pass, "recompute keys and values", order, |b| recompute_keys_values(b, group, input));
    }
    (input, gradients)
}

/// The same where the batch lies on several ranks: layer by layer, since the next layer's keys follow from queries that see those of earlier
/// ranks. Between layers of a group one tensor holds the inputs of all tokens of this rank.
fn prepare_on_ranks(b: &mut Builder, pass: Pass, group: &Range<u32>, input: LayerInput) {
    // Those that were kept were exchanged in the forward pass.
    let is_missing = |b: &mut Builder, layer: u32| !b.in_layer(layer, |b| b.keeps_keys_values());
    let Some(last) = group.clone().rev().find(|&layer| is_missing(b, layer)) else { return };
    let order = ChunkOrder::Ascending(b.chunk());
    let mut input = input;
    let mut between = None;
    for layer in group.start..=last {
        b.in_layer(layer, |b| {
            b.block(pass, "recompute keys and values", order, |b| {
                b.recompute(|b| {
                    let x = forward::chunk_input(b, input);
                    forward::keys_values(b, x);
                });
            });
            if !b.keeps_keys_values() {
                let keys_values = b.keys_values_left();
                exchange::keys_values(b, pass, layer, keys_values, true);
            }
            if layer < last {
                let width = Widths::of(b.config()).hidden;
                let new = || b.activation_tensor("output", TensorKind::LayerInputs, Rows::Tokens, width);
                let out = *between.get_or_insert_with(new);
                b.block(pass, "recompute layer inputs", order, |b| {
                    b.recompute(|b| {
                        let x = forward::chunk_input(b, input);
                        layer_forward(b, x, out);
                    });
                });
                input = LayerInput::Overwritten(out);
            }
        });
    }
}

/// Are the keys of a group recomputed into a ring?
fn has_ring_of_keys(gradients: &[KeyValueGradients], chunk: u32) -> bool {
    matches!(gradients, [alone] if alone.chunks_of_ring(chunk).is_some())
}

/// The backward pass of a group of layers, chunks from last to first. In a layer on its own with a sliding window, keys and values are
/// recomputed into a ring, chunk by chunk, just ahead of the first chunk whose window includes them.
fn group_backward(b: &mut Builder, group: &Range<u32>, input: LayerInput, gradients: &[KeyValueGradients], d_hidden: TensorId) {
    let chunk = b.chunk();
    let ring = gradients.iter().filter_map(|of_layer| of_layer.chunks_of_ring(chunk)).max();
    let (rings, others): (Vec<&KeyValueGradients>, Vec<&KeyValueGradients>) =
        gradients.iter().partition(|of_layer| of_layer.chunks_of_ring(chunk).is_some());
    b.block_of(group, Pass::Backward, "clear key and value gradients", ChunkOrder::Whole, |b| others.iter().for_each(|g| g.clear(b)));
    gradients.iter().for_each(|of_layer| b.in_layer(of_layer.layer, |b| exchange::begin_layer(b, of_layer.layer, of_layer.d_kv)));
    b.block_of(group, Pass::Backward, "backward", ChunkOrder::Descending(chunk), |b| {
        b.ahead(ring.map_or(0, |chunks| chunks - 1), |b| {
            if has_ring_of_keys(gradients, chunk) {
                recompute_keys_values(b, group, input);
            }
            rings.iter().for_each(|of_layer| of_layer.clear(b));
        });
        chunk_backward(b, group, input, gradients, d_hidden);
    });
    gradients.iter().for_each(|of_layer| b.in_layer(of_layer.layer, |b| exchange::end_layer(b, of_layer.layer, of_layer.d_kv)));
}

/// Recomputes the inputs of a group's layers for the chunk, as the forward pass computed them. Dead code is eliminated: what no other
/// operation of the block needs is left out, but for keys and values, which outlive a block of their own.
fn recompute_inputs(b: &mut Builder, group: &Range<u32>, input: LayerInput) -> Vec<TensorId> {
    b.recompute(|b| {
        let mut inputs = vec![b.in_layer(group.start, |b| forward::chunk_input(b, input))];
        for layer in group.clone().skip(1) {
            let out = b.in_layer(layer, |b| b.temporary_activation("input", TensorKind::LayerInputs, Widths::of(b.config()).hidden));
            b.in_layer(layer - 1, |b| layer_forward(b, inputs[inputs.len() - 1], out));
            inputs.push(out);
        }
        inputs
    })
}

/// Recomputes the activations of a layer that were not saved, from its input. Dead code is eliminated.
fn recompute(b: &mut Builder, x: TensorId) -> Activations {
    b.recompute(|b| {
        let out = b.temporary_activation("output", TensorKind::Activations, Widths::of(b.config()).hidden);
        layer_forward(b, x, out)
    })
}

fn layer_forward(b: &mut Builder, x: TensorId, out: TensorId) -> Activations {
    let cache = forward::Cache::of_layer(b);
    forward::layer_forward(b, x, out, cache)
}

/// Recomputes keys and values of a group's layers, and whatever they need.
fn recompute_keys_values(b: &mut Builder, group: &Range<u32>, input: LayerInput) {
    let inputs = recompute_inputs(b, group, input);
    b.in_layer(group.end - 1, |b| recompute(b, inputs[inputs.len() - 1]));
}

/// The backward pass of one chunk of a group: the inputs of all its layers, then layer by layer, from the last on, its activations and its
/// gradients.
fn chunk_backward(b: &mut Builder, group: &Range<u32>, input: LayerInput, gradients: &[KeyValueGradients], d_hidden: TensorId) {
    let inputs = recompute_inputs(b, group, input);
    for (&KeyValueGradients { layer, d_kv, .. }, x) in gradients.iter().zip(inputs).rev() {
        b.in_layer(layer, |b| {
            let activations = recompute(b, x);
            b.for_labels(|b| mlp_backward(b, &activations, d_hidden));
            attention_backward(b, &activations, x, d_kv, d_hidden);
        });
    }
}

/// The backward pass of the MLP, its norms and its residual connection.
fn mlp_backward(b: &mut Builder, a: &Activations, d_hidden: TensorId) {
    let widths = Widths::of(b.config());
    let d_out = output_norm_backward(b, a.mlp_output, Role::MlpOutputNorm, d_hidden);
    let d_mlp = b.chunk_temporary("d_mlp", TensorKind::Activations, widths.mlp);
    let d_inner = weight_grads(b, Projection::Down, d_out, a.mlp, &a.adapted);
    // The step may have its peak here, and `d_mlp` can lie where `mlp` did.
    b.begin_run();
    input_grads(b, Projection::Down, (d_out, d_inner), d_mlp, false);
    b.push(GluGrad { d_out: d_mlp, gate: a.gate, up: a.up });
    let through = [(Projection::Gate, a.gate), (Projection::Up, a.up)].map(|(projection, d_out)| {
        let d_inner = weight_grads(b, projection, d_out, a.mlp_norm.out, &a.adapted);
        (projection, (d_out, d_inner))
    });
    let d_norm = b.chunk_temporary("d_mlp_norm", TensorKind::Activations, widths.hidden);
    for (i, (projection, d_out)) in through.into_iter().enumerate() {
        input_grads(b, projection, d_out, d_norm, i > 0);
    }
    let groups = forward::whole_row(b);
    norm_backward(b, a.mlp_norm.of(a.post_attention), Role::MlpNorm, d_norm, Some(d_hidden), groups);
}

/// The backward pass of the attention, its norms and its residual connection. All later chunks are done, so once this chunk's queries have
/// added their contributions, its `d_k` and `d_v` are complete and go through their projections immediately.
fn attention_backward(b: &mut Builder, a: &Activations, x: TensorId, [d_k, d_v]: [TensorId; 2], d_hidden: TensorId) {
    let d_q = b.for_labels(|b| queries_backward(b, a, [d_k, d_v], d_hidden));
    b.for_labels(|b| forward::rope(b, d_q, true));
    forward::rope(b, d_k, true);
    let [d_q, d_k] = head_norms_backward(b, a, [d_q, d_k]);
    // Queries come last: where they have no gradient, those of keys and values stand already.
    let projections = [(Projection::Key, d_k), (Projection::Value, d_v), (Projection::Query, d_q)];
    let through = projections.map(|(projection, d_out)| {
        let d_inner = of_projection(b, projection, |b| weight_grads(b, projection, d_out, a.attention_norm.out, &a.adapted));
        (projection, (d_out, d_inner))
    });
    let d_norm = b.chunk_temporary("d_attention_norm", TensorKind::Activations, Widths::of(b.config()).hidden);
    for (i, (projection, d_out)) in through.into_iter().enumerate() {
        of_projection(b, projection, |b| input_grads(b, projection, d_out, d_norm, i > 0));
    }
    let groups = forward::whole_row(b);
    norm_backward(b, a.attention_norm.of(x), Role::AttentionNorm, d_norm, Some(d_hidden), groups);
}

/// Queries are needed for tokens with labels only, keys and values for all that those see.
fn of_projection<T>(b: &mut Builder, projection: Projection, write: impl FnOnce(&mut Builder) -> T) -> T {
    if projection == Projection::Query { b.for_labels(write) } else { write(b) }
}

/// From the output of the attention to its operands: returns `d_q`, and adds to `d_k` and `d_v` of all tokens that the queries see.
fn queries_backward(b: &mut Builder, a: &Activations, [d_k, d_v]: [TensorId; 2], d_hidden: TensorId) -> TensorId {
    let queries = Widths::of(b.config()).queries;
    let (segment_start, window) = (b.program.bindings.segment_start, b.config().window(b.layer()));
    let d_output = output_norm_backward(b, a.attention_output, Role::AttentionOutputNorm, d_hidden);
    let d_out = b.chunk_temporary("d_attention", TensorKind::Activations, queries);
    let d_inner = weight_grads(b, Projection::Output, d_output, a.attention, &a.adapted);
    input_grads(b, Projection::Output, (d_output, d_inner), d_out, false);
    let d_q = b.chunk_temporary("d_q", TensorKind::Activations, queries);
    let KeysValues { k, v, .. } = a.kv;
    b.push(AttentionQueryGrad { q: a.q, k, v, segment_start, out: a.attention, d_out, stats: a.stats, d_q, window });
    b.push(AttentionKeyValueGrad { q: a.q, k, v, segment_start, d_out, stats: a.stats, d_k, d_v, window });
    d_q
}

/// The backward pass of the norms of queries and keys, if the family has them. The gradients overwrite the outputs of the projections.
fn head_norms_backward(b: &mut Builder, a: &Activations, [d_q, d_k]: [TensorId; 2]) -> [TensorId; 2] {
    let (Some(raw_q), Some(raw_k), Some(k_rstd)) = (a.raw_q, a.raw_k, a.kv.k_rstd) else { return [d_q, d_k] };
    let [q_groups, k_groups] = [b.config().num_attention_heads, b.config().num_key_value_heads].map(|count| forward::heads(b, count));
    b.for_labels(|b| norm_backward(b, raw_q, Role::QueryNorm, d_q, None, q_groups));
    norm_backward(b, NormInput { x: raw_k, rstd: k_rstd }, Role::KeyNorm, d_k, None, k_groups);
    [raw_q.x, raw_k]
}

/// The backward pass of the norm of a sublayer's output, if the family has one. The gradient overwrites the input of the norm.
fn output_norm_backward(b: &mut Builder, raw: Option<NormInput>, role: Role, d_hidden: TensorId) -> TensorId {
    let Some(raw) = raw else { return d_hidden };
    let groups = forward::whole_row(b);
    norm_backward(b, raw, role, d_hidden, None, groups);
    raw.x
}

/// The backward pass of a norm. The gradient of its input is added to `around`, the gradient that bypasses the norm, or overwrites the
/// input if there is none.
pub(super) fn norm_backward(b: &mut Builder, read: NormInput, role: Role, d_out: TensorId, around: Option<TensorId>, groups: NormGroups) {
    let NormInput { x, rstd } = read;
    for (d_weight, _) in b.gradients(role) {
        b.push(RmsNormWeightGrad { x, rstd, d_out, d_weight, groups });
    }
    let weight = b.vector(role);
    b.push(RmsNormGrad { x: around.map(|_| x), rstd, weight, d_out, d_x: around.unwrap_or(x), groups });
}

/// The gradients of the projection's trainable parameters. Returns the gradient of the LoRA A output (C×rank), if there is an adapter.
fn weight_grads(b: &mut Builder, projection: Projection, d_out: TensorId, x: TensorId, adapted: &LoraIntermediates) -> Option<TensorId> {
    weight_grad(b, Role::Weight(projection), d_out, x);
    if b.bias(projection).is_some() {
        for (d_bias, _) in b.gradients(Role::Bias(projection)) {
            b.push(BiasGrad { d_out, d_bias });
        }
    }
    let adapter = b.adapter(projection)?;
    weight_grad(b, Role::LoraB(projection), d_out, adapted.get(projection));
    let d_inner = b.chunk_temporary(&format!("d_{}.adapter", projection.name()), TensorKind::Activations, adapter.width);
    input_grad(b, &adapter.b, d_out, d_inner, adapter.scale, false);
    weight_grad(b, Role::LoraA(projection), d_inner, x);
    Some(d_inner)
}

fn weight_grad(b: &mut Builder, role: Role, d_out: TensorId, x: TensorId) {
    for (d_weight, slice) in b.gradients(role) {
        b.push(LinearWeightGrad { d_out, x, d_weight, slice });
    }
}

/// The gradient of a projection's input, through its matrix and its adapter. `d_inner` is the gradient of the LoRA A output.
fn input_grads(b: &mut Builder, projection: Projection, (d_out, d_inner): (TensorId, Option<TensorId>), d_x: TensorId, accumulate: bool) {
    input_grad(b, &b.slices(Role::Weight(projection)), d_out, d_x, 1.0, accumulate);
    if let Some(d_inner) = d_inner {
        input_grad(b, &b.slices(Role::LoraA(projection)), d_inner, d_x, 1.0, true);
    }
}

fn input_grad(b: &mut Builder, slices: &[ParameterSlice], d_out: TensorId, d_x: TensorId, scale: f64, accumulate: bool) {
    for rows in slices {
        let (weight, slice) = (rows.value, rows.whole());
        b.push(LinearGrad { d_out, weight, d_x, slice, scale, accumulate: accumulate || rows.first_row > 0 });
    }
}
