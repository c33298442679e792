//! The forward pass: from token ids to the last hidden state, layer by layer, chunk by chunk.
//!
//! The decoder layer is that of Hugging Face's Llama, Qwen, Mistral and Gemma models: RMSNorm, grouped-query attention with rotary
//! embedding, RMSNorm, gated MLP; QK norm, output norms, biases and LoRA adapters where the model has them.

use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::exchange;
use super::message::Batches;
use super::ops::{Attention, Embedding, Glu, HostCopy, Linear, NormGroups, RmsNorm, Rope};
use super::program::Pass;
use super::saved_activations::SavedActivation;
use super::tensor::{Element, Rows, TensorId, TensorKind};
use crate::model::{Config, Projection, Role};

/// The results of the forward pass, besides the saved activations.
pub struct ForwardState {
    /// The input of each layer.
    pub inputs: Vec<LayerInput>,
    /// The last hidden state (N×D). The loss overwrites it with its gradient.
    pub hidden: TensorId,
}

/// Where the backward pass finds the input of a layer.
#[derive(Clone, Copy)]
pub enum LayerInput {
    /// The input was saved on the device (N×D).
    Kept(TensorId),
    /// The input is the embedding of the token ids. Looking it up again is cheaper than saving it.
    Embedding,
    /// The input is offloaded to the host (N×D).
    OnHost(TensorId),
    /// The layer's output overwrites its input (N×D). No backward pass needs that, because all parameters up to here are frozen; or it is
    /// recomputed from the input of the layer's group.
    Overwritten(TensorId),
}

/// Keys and values of a layer: N rows, or a ring of as many rows as its window needs.
#[derive(Clone, Copy)]
pub struct KeysValues {
    /// The keys, after QK norm and rotary embedding (K·E).
    pub k: TensorId,
    /// The values (K·E).
    pub v: TensorId,
    /// `1 / rms` of each key before its norm, with QK norm (K).
    pub k_rstd: Option<TensorId>,
}

/// Where keys and values of a layer go: tensors with such a prefix of their names, and such rows.
#[derive(Clone, Copy)]
pub(super) struct Cache {
    pub prefix: &'static str,
    pub rows: Rows,
}

impl Cache {
    /// That of a layer for the tokens of the batch.
    pub(super) fn of_layer(b: &Builder) -> Cache {
        Cache { prefix: "", rows: b.key_rows() }
    }
}

/// What attention reads and writes in a layer.
#[derive(Clone, Copy)]
pub(super) struct Attended {
    /// Queries (H·E).
    pub q: TensorId,
    /// Keys and values of the layer.
    pub kv: KeysValues,
    /// Its output (H·E).
    pub out: TensorId,
    /// What a backward pass needs of each row (H×2).
    pub stats: TensorId,
}

/// The activations of a layer between its input and its output. Each has N rows if it is saved, otherwise C rows. In parentheses: columns.
pub struct Activations {
    /// The norm of the layer's input (D).
    pub attention_norm: NormOutput,
    /// The queries before their norm (H·E) with `1 / rms` of each head (H), with QK norm.
    pub raw_q: Option<NormInput>,
    /// The keys before their norm, with QK norm (K·E).
    pub raw_k: Option<TensorId>,
    /// Keys and values.
    pub kv: KeysValues,
    /// The queries, after QK norm and rotary embedding (H·E).
    pub q: TensorId,
    /// The output of the attention, before its projection (H·E).
    pub attention: TensorId,
    /// The log-sum-exp of each row and head, and room for a backward sum (H×2).
    pub stats: TensorId,
    /// The projected output of the attention before its norm, if the family norms it (D).
    pub attention_output: Option<NormInput>,
    /// The post-attention residual (D).
    pub post_attention: TensorId,
    /// The norm of the post-attention residual (D).
    pub mlp_norm: NormOutput,
    /// The output of the gate projection (F).
    pub gate: TensorId,
    /// The output of the up projection (F).
    pub up: TensorId,
    /// `act(gate) · up` (F).
    pub mlp: TensorId,
    /// The output of the down projection before its norm, if the family norms it (D).
    pub mlp_output: Option<NormInput>,
    /// The LoRA A outputs (rank each).
    pub adapted: LoraIntermediates,
}

/// The LoRA intermediates: for each projection with an adapter, the scaled output of LoRA A, which LoRA B reads (rank).
#[derive(Default)]
pub struct LoraIntermediates(Vec<(Projection, TensorId)>);

impl LoraIntermediates {
    /// The intermediate of a projection.
    ///
    /// # Panics
    /// If the projection has no adapter.
    pub fn get(&self, projection: Projection) -> TensorId {
        self.0.iter().find(|(p, _)| *p == projection).map(|(_, id)| *id).expect("the projection was written with its adapter")
    }
}

/// The input of an RMSNorm, as its backward pass needs it.
#[derive(Clone, Copy)]
pub struct NormInput {
    /// The rows before the norm (D, or heads·E).
    pub x: TensorId,
    /// `1 / rms` of each group of a row (groups).
    pub rstd: TensorId,
}

/// The output of an RMSNorm over whole rows.
#[derive(Clone, Copy)]
pub struct NormOutput {
    /// The normalised rows (D).
    pub out: TensorId,
    /// `1 / rms` of each row (1).
    pub rstd: TensorId,
}

impl NormOutput {
    /// The input `x` of this norm, with its `1 / rms`.
    pub fn of(&self, x: TensorId) -> NormInput {
        NormInput { x, rstd: self.rstd }
    }
}

/// The padded column counts of the tensors of a layer: D, H·E, K·E, F, and H.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    pub hidden: u32,
    pub queries: u32,
    pub keys: u32,
    pub mlp: u32,
    pub heads: u32,
}

impl Widths {
    pub(super) fn of(config: &Config) -> Self {
        let head = config.head_dim.next_multiple_of(4);
        Widths {
            hidden: config.hidden_size.next_multiple_of(4),
            queries: config.num_attention_heads * head,
            keys: config.num_key_value_heads * head,
            mlp: config.intermediate_size.next_multiple_of(4),
            heads: config.num_attention_heads,
        }
    }
}

/// Appends the forward pass of a training step. With offloading, one tensor goes through all layers: each chunk of it is copied to the host
/// before the layer's output overwrites it.
///
/// Through the first `layers_ahead` layers goes only the first batch of a step: the others are there already.
pub fn write(b: &mut Builder, layers_ahead: u32) -> ForwardState {
    let hidden = b.tensor("hidden", TensorKind::HiddenGradient, Rows::Tokens, Widths::of(b.config()).hidden);
    let inputs = layer_inputs(b, hidden);
    for (layer, &input) in (0..).zip(&inputs) {
        let output = match inputs.get(layer as usize + 1) {
            Some(&(LayerInput::Kept(next) | LayerInput::Overwritten(next))) => next,
            _ => hidden,
        };
        let batches = if layer < layers_ahead { Batches::First } else { Batches::All };
        b.for_batches(batches, |b| b.in_layer(layer, |b| write_layer(b, Pass::Forward, (input, output), hidden)));
    }
    ForwardState { inputs, hidden }
}

/// The current layer, from its input to its output.
pub(super) fn write_layer(b: &mut Builder, pass: Pass, (input, output): (LayerInput, TensorId), hidden: TensorId) {
    let (chunk, is_split) = (b.chunk(), b.is_split());
    if is_split {
        keys_values_first(b, pass, input, hidden);
    }
    b.block(pass, "forward", ChunkOrder::Ascending(chunk), |b| {
        if let LayerInput::OnHost(out) = input {
            b.push(HostCopy { x: hidden, out });
        }
        let write = |b: &mut Builder| {
            let (x, cache) = (input_on_device(b, input, hidden), Cache::of_layer(b));
            layer_forward(b, x, output, cache);
        };
        if is_split { b.recompute(write) } else { write(b) }
    });
    if is_split {
        b.let_go_of_keys_values();
    }
}

/// Where the batch lies on several ranks: keys and values of all tokens of this one, and an exchange of them. Queries see those of earlier
/// ranks.
fn keys_values_first(b: &mut Builder, pass: Pass, input: LayerInput, hidden: TensorId) {
    let chunk = b.chunk();
    b.block(pass, "keys and values", ChunkOrder::Ascending(chunk), |b| {
        b.recompute(|b| {
            let x = input_on_device(b, input, hidden);
            keys_values(b, x);
        });
    });
    let keys_values = b.keys_values_left();
    exchange::keys_values(b, pass, b.layer(), keys_values, false);
}

/// Keys and values of a layer for the chunk's rows of `x`. They are recomputation: what else comes with them is left out.
pub(super) fn keys_values(b: &mut Builder, x: TensorId) {
    let cache = Cache::of_layer(b);
    let norm = layer_norm(b, "attention_norm", x, Role::AttentionNorm);
    queries_keys_values(b, norm.out, cache, &mut LoraIntermediates::default());
}

/// In the forward pass, an input that goes to the host is still there.
fn input_on_device(b: &mut Builder, input: LayerInput, hidden: TensorId) -> TensorId {
    if let LayerInput::OnHost(_) = input { hidden } else { chunk_input(b, input) }
}

/// The inputs of the layers. Those of groups that the backward pass goes through are saved; between them, and below them, one tensor goes
/// through the layers.
fn layer_inputs(b: &mut Builder, hidden: TensorId) -> Vec<LayerInput> {
    let width = Widths::of(b.config()).hidden;
    let mut saved = Vec::new();
    for group in b.layer_groups() {
        saved.push(b.in_layer(group.start, |b| match b.program.strategy.offloads() {
            _ if group.start == 0 => LayerInput::Embedding,
            true => LayerInput::OnHost(b.on_host("input", width)),
            false => LayerInput::Kept(b.activation_tensor("input", TensorKind::LayerInputs, Rows::Tokens, width)),
        }));
        saved.extend(group.skip(1).map(|_| LayerInput::Overwritten(hidden)));
    }
    let through = match saved.first() {
        Some(&LayerInput::Kept(input)) => input,
        _ => hidden,
    };
    let lowest = b.lowest_trainable_layer();
    let embedding = (lowest > 0).then_some(LayerInput::Embedding);
    let below = (1..lowest).map(|_| LayerInput::Overwritten(through));
    embedding.into_iter().chain(below).chain(saved).collect()
}

/// One decoder layer: reads the chunk's rows of `x`, writes those of `out`. Keys and values go into `cache`.
pub(super) fn layer_forward(b: &mut Builder, x: TensorId, out: TensorId, cache: Cache) -> Activations {
    layer_with(b, x, out, cache, |b, Attended { q, kv, out, stats }| {
        let (segment_start, window) = (b.token_tensors().origins, b.config().window(b.layer()));
        b.push(Attention { q, k: kv.k, v: kv.v, segment_start, out, stats, window });
    })
}

/// The same with an attention that `attend` appends.
pub(super) fn layer_with(
    b: &mut Builder,
    x: TensorId,
    out: TensorId,
    cache: Cache,
    attend: impl FnOnce(&mut Builder, Attended),
) -> Activations {
    let widths = Widths::of(b.config());
    let mut adapted = LoraIntermediates::default();

    let attention_norm = layer_norm(b, "attention_norm", x, Role::AttentionNorm);
    let (raw_q, q, raw_k, kv) = queries_keys_values(b, attention_norm.out, cache, &mut adapted);
    b.for_labels(|b| {
        // Each block of keys adds to it.
        let attention = b.f32_activation(SavedActivation::Attention, "attention", widths.queries);
        let stats = b.f32_activation(SavedActivation::Attention, "attention.stats", 2 * widths.heads);
        attend(b, Attended { q, kv, out: attention, stats });
        let post_attention = b.activation(SavedActivation::PostAttention, "post_attention", widths.hidden);
        let attention_output =
            add_to_residual(b, attention, (Projection::Output, Role::AttentionOutputNorm), x, post_attention, &mut adapted);

        let mlp_norm = layer_norm(b, "mlp_norm", post_attention, Role::MlpNorm);
        let gate = b.activation(SavedActivation::GateUp, "gate", widths.mlp);
        let up = b.activation(SavedActivation::GateUp, "up", widths.mlp);
        let mlp = b.activation(SavedActivation::Mlp, "mlp", widths.mlp);
        project(b, mlp_norm.out, Projection::Gate, gate, None, &mut adapted);
        project(b, mlp_norm.out, Projection::Up, up, None, &mut adapted);
        b.push(Glu { gate, up, out: mlp });
        let mlp_output = add_to_residual(b, mlp, (Projection::Down, Role::MlpOutputNorm), post_attention, out, &mut adapted);
        Activations {
            attention_norm,
            raw_q,
            raw_k,
            kv,
            q,
            attention,
            stats,
            attention_output,
            post_attention,
            mlp_norm,
            gate,
            up,
            mlp,
            mlp_output,
            adapted,
        }
    })
}

/// A tensor with the chunk's rows of a layer's input: looks up the embedding or copies the rows from the host, if need be.
pub(super) fn chunk_input(b: &mut Builder, input: LayerInput) -> TensorId {
    let width = Widths::of(b.config()).hidden;
    match input {
        LayerInput::Kept(x) | LayerInput::Overwritten(x) => x,
        LayerInput::Embedding => {
            let out = b.activation(SavedActivation::Norms, "input", width);
            embed(b, out);
            out
        }
        LayerInput::OnHost(x) => {
            let out = b.temporary_activation("input", TensorKind::LayerInputs, width);
            b.push(HostCopy { x, out });
            out
        }
    }
}

pub(super) fn embed(b: &mut Builder, out: TensorId) {
    for slice in b.slices(Role::Embedding) {
        b.push(Embedding { input_ids: b.token_tensors().input_ids, weight: slice.value, out, first_id: slice.first_row });
    }
}

fn layer_norm(b: &mut Builder, name: &str, x: TensorId, role: Role) -> NormOutput {
    let out = b.activation(SavedActivation::Norms, name, Widths::of(b.config()).hidden);
    let rstd = b.f32_activation(SavedActivation::Norms, &format!("{name}.rstd"), 1);
    rms_norm(b, x, role, NormOutput { out, rstd })
}

/// The norm before the LM head (C×D).
pub(super) fn final_norm(b: &mut Builder, x: TensorId) -> NormOutput {
    let out = b.activation_tensor("final_norm", TensorKind::Activations, Rows::Chunk, Widths::of(b.config()).hidden);
    let rstd = b.tensor("final_norm.rstd", TensorKind::Activations, Rows::Chunk, 1);
    rms_norm(b, x, Role::FinalNorm, NormOutput { out, rstd })
}

/// `out = norm(x) · weight`.
fn rms_norm(b: &mut Builder, x: TensorId, role: Role, normed: NormOutput) -> NormOutput {
    let (NormOutput { out, rstd }, groups) = (normed, whole_row(b));
    b.push(RmsNorm { x, weight: b.vector(role), out, rstd, residual: None, groups });
    normed
}

/// Norms a row of the residual stream as a whole: one group of D elements.
pub(super) fn whole_row(b: &Builder) -> NormGroups {
    NormGroups { count: 1, size: b.config().hidden_size }
}

/// Norms queries or keys head by head: `count` groups of E elements.
pub(super) fn heads(b: &Builder, count: u32) -> NormGroups {
    NormGroups { count, size: b.config().head_dim }
}

/// The chunk's queries, keys and values; queries and keys also before their norms, with QK norm. Keys and values go into the layer's
/// tensors. Projections are adjacent, and so are norms and rotations, because adjacent operations of one kind are fused into one dispatch.
fn queries_keys_values(
    b: &mut Builder,
    normed: TensorId,
    Cache { prefix, rows }: Cache,
    adapted: &mut LoraIntermediates,
) -> (Option<NormInput>, TensorId, Option<TensorId>, KeysValues) {
    let Widths { queries, keys, .. } = Widths::of(b.config());
    let is_normed = b.config().family().qk_norm;
    let cached = |b: &mut Builder, name: &str, cols, element| {
        b.of_layer(SavedActivation::KeysValues, TensorKind::KeysValues, (&format!("{prefix}{name}"), rows, cols, element))
    };
    let element = b.activation_element();
    let [k, v] = ["k", "v"].map(|name| cached(b, name, keys, element));
    let raw_k = is_normed.then(|| b.activation(SavedActivation::KeysValues, "raw_k", keys));
    let q = b.activation(SavedActivation::Queries, "q", queries);
    let raw_q = is_normed.then(|| b.activation(SavedActivation::Queries, "raw_q", queries));
    project(b, normed, Projection::Key, raw_k.unwrap_or(k), None, adapted);
    project(b, normed, Projection::Value, v, None, adapted);
    b.for_labels(|b| project(b, normed, Projection::Query, raw_q.unwrap_or(q), None, adapted));
    let k_rstd = raw_k.map(|x| {
        let groups = heads(b, b.config().num_key_value_heads);
        let rstd = cached(b, "k.rstd", groups.count, Element::F32);
        b.push(RmsNorm { x, weight: b.vector(Role::KeyNorm), out: k, rstd, residual: None, groups });
        rstd
    });
    let raw_q = raw_q.map(|x| {
        let groups = heads(b, b.config().num_attention_heads);
        let rstd = b.f32_activation(SavedActivation::Queries, "q.rstd", groups.count);
        b.for_labels(|b| b.push(RmsNorm { x, weight: b.vector(Role::QueryNorm), out: q, rstd, residual: None, groups }));
        NormInput { x, rstd }
    });
    rope(b, k, false);
    b.for_labels(|b| rope(b, q, false));
    (raw_q, q, raw_k, KeysValues { k, v, k_rstd })
}

/// `out = residual + projection(x)`, or `residual + norm(projection(x))` if the family norms outputs of sublayers.
fn add_to_residual(
    b: &mut Builder,
    x: TensorId,
    (projection, norm): (Projection, Role),
    residual: TensorId,
    out: TensorId,
    adapted: &mut LoraIntermediates,
) -> Option<NormInput> {
    if !b.config().family().norms_outputs {
        project(b, x, projection, out, Some(residual), adapted);
        return None;
    }
    let (saved_as, name, width) = (SavedActivation::of(projection), projection.name(), Widths::of(b.config()).hidden);
    let raw = b.activation(saved_as, &format!("raw_{name}"), width);
    let rstd = b.f32_activation(saved_as, &format!("{name}.rstd"), 1);
    project(b, x, projection, raw, None, adapted);
    let groups = whole_row(b);
    b.push(RmsNorm { x: raw, weight: b.vector(norm), out, rstd, residual: Some(residual), groups });
    Some(NormInput { x: raw, rstd })
}

/// `out = weight · x (+ bias) (+ residual)`, plus `B · (scale · A · x)` if there is an adapter. The LoRA A output `scale · A · x` (C×rank)
/// is added to `adapted`.
fn project(
    b: &mut Builder,
    x: TensorId,
    projection: Projection,
    out: TensorId,
    residual: Option<TensorId>,
    adapted: &mut LoraIntermediates,
) {
    let bias = b.bias(projection);
    for rows in b.slices(Role::Weight(projection)) {
        let (weight, slice) = (rows.value, rows.whole());
        b.push(Linear { x, weight, out, bias, residual, slice, scale: 1.0, accumulate: false });
    }
    let Some(adapter) = b.adapter(projection) else { return };
    let inner = b.activation(SavedActivation::of(projection), &format!("{}.adapter", projection.name()), adapter.width);
    for rows in &adapter.a {
        let (weight, slice, scale) = (rows.value, rows.whole(), adapter.scale);
        b.push(Linear { x, weight, out: inner, bias: None, residual: None, slice, scale, accumulate: false });
    }
    for rows in &adapter.b {
        let (weight, slice) = (rows.value, rows.whole());
        b.push(Linear { x: inner, weight, out, bias: None, residual: None, slice, scale: 1.0, accumulate: true });
    }
    adapted.0.push((projection, inner));
}

pub(super) fn rope(b: &mut Builder, x: TensorId, inverse: bool) {
    let is_local = b.config().window(b.layer()).is_some();
    let bindings = &b.program.bindings;
    let table = if is_local { bindings.local_rope_table } else { bindings.rope_table };
    b.push(Rope { x, segment_start: b.token_tensors().origins, table, is_local, inverse });
}
