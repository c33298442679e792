//! The forward pass: token ids to the last hidden state, layer by layer, chunk by chunk.

use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::ops::{Attention, Embedding, Glu, HostCopy, Linear, NormGroups, RmsNorm, Rope};
use super::program::Pass;
use super::saved_activations::SavedActivation;
use super::tensor::{Rows, TensorId, TensorKind};
use crate::model::{Config, Projection, Role};

/// What the forward pass leaves for the rest of the step, beside what the strategy keeps of the layers.
pub struct ForwardState {
    /// What each layer read.
    pub inputs: Vec<LayerInput>,
    /// The last hidden state (N×D). The loss overwrites it by its gradient.
    pub hidden: TensorId,
}

/// Where a layer's input comes from.
#[derive(Clone, Copy)]
pub enum LayerInput {
    /// It was kept (N×D).
    Kept(TensorId),
    /// It is the embedding of the token ids, which costs less to look up again than to keep.
    Embedding,
    /// It waits on the host (N×D).
    OnHost(TensorId),
}

/// Keys and values of a layer (K·E each), for all tokens, or for as many as its window needs.
#[derive(Clone, Copy)]
pub struct KeysValues {
    /// The keys, turned and normed.
    pub k: TensorId,
    /// The values.
    pub v: TensorId,
    /// `1 / rms` of each key before its norm, if keys are normed (K).
    pub k_rstd: Option<TensorId>,
}

/// What a layer computes between its input and its output: for a chunk of tokens, or for all where it is kept.
pub struct Activations {
    /// The input's norm (D).
    pub attention_norm: NormOutput,
    /// Queries before their norm, if they are normed, with `1 / rms` of each (H·E).
    pub raw_q: Option<NormInput>,
    /// Keys before their norm, if they are normed (K·E).
    pub raw_k: Option<TensorId>,
    /// Keys and values.
    pub kv: KeysValues,
    /// Queries, turned (H·E).
    pub q: TensorId,
    /// The attention's output (H·E).
    pub attention: TensorId,
    /// Log-sum-exp of each row and head, and room for a backward sum (H×2).
    pub stats: TensorId,
    /// What the attention yields before its norm, if that is normed (D).
    pub attention_output: Option<NormInput>,
    /// The residual stream between attention and MLP (D).
    pub post_attention: TensorId,
    /// Its norm (D).
    pub mlp_norm: NormOutput,
    /// (F)
    pub gate: TensorId,
    /// (F)
    pub up: TensorId,
    /// `act(gate) · up` (F).
    pub mlp: TensorId,
    /// What the MLP yields before its norm, if that is normed (D).
    pub mlp_output: Option<NormInput>,
    /// What adapters' first matrices made of what they read (rank).
    pub adapted: LoraIntermediates,
}

/// What adapters' first matrices made of what they read, by projection.
#[derive(Default)]
pub struct LoraIntermediates(Vec<(Projection, TensorId)>);

impl LoraIntermediates {
    /// That of a projection that has an adapter.
    pub fn get(&self, projection: Projection) -> TensorId {
        self.0.iter().find(|(p, _)| *p == projection).map(|(_, id)| *id).expect("the projection was written with its adapter")
    }
}

/// What a norm reads.
#[derive(Clone, Copy)]
pub struct NormInput {
    /// The rows before the norm.
    pub x: TensorId,
    /// `1 / rms` of each group of a row.
    pub rstd: TensorId,
}

/// The outcome of an RMSNorm.
#[derive(Clone, Copy)]
pub struct NormOutput {
    /// The normalised rows (D).
    pub out: TensorId,
    /// `1 / rms` of each row (1).
    pub rstd: TensorId,
}

impl NormOutput {
    /// The same seen from what was normed.
    pub fn of(&self, x: TensorId) -> NormInput {
        NormInput { x, rstd: self.rstd }
    }
}

/// Padded widths of the tensors inside a layer.
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

/// Writes the forward pass of a training step. Where the inputs of layers wait on the host, one tensor goes through all layers: each chunk
/// of it is copied out before the layer's output takes its place.
pub fn write(b: &mut Builder) -> ForwardState {
    let (chunk, width, layers) = (b.chunk(), Widths::of(b.config()).hidden, b.config().num_hidden_layers);
    let offloads = b.program.strategy.offloads();
    let hidden = b.tensor("hidden", TensorKind::HiddenGradient, Rows::Tokens, width);
    let mut inputs = vec![LayerInput::Embedding];
    for layer in 1..layers {
        inputs.push(b.in_layer(layer, |b| match offloads {
            true => LayerInput::OnHost(b.on_host("input", width)),
            false => LayerInput::Kept(b.tensor("input", TensorKind::LayerInputs, Rows::Tokens, width)),
        }));
    }
    for (layer, &input) in (0..).zip(&inputs) {
        let output = match inputs.get(layer as usize + 1) {
            Some(&LayerInput::Kept(next)) => next,
            _ => hidden,
        };
        b.in_layer(layer, |b| {
            b.block(Pass::Forward, "forward", ChunkOrder::Ascending(chunk), |b| {
                let x = match input {
                    LayerInput::OnHost(out) => {
                        b.push(HostCopy { x: hidden, out });
                        hidden
                    }
                    _ => chunk_input(b, input),
                };
                layer_forward(b, x, output);
            });
        });
    }
    ForwardState { inputs, hidden }
}

/// One layer, from the rows of its input to those of its output.
pub(super) fn layer_forward(b: &mut Builder, x: TensorId, out: TensorId) -> Activations {
    let widths = Widths::of(b.config());
    let segment_start = b.program.bindings.segment_start;
    let window = b.config().window(b.layer());
    let mut adapted = LoraIntermediates::default();

    let attention_norm = layer_norm(b, "attention_norm", x, Role::AttentionNorm);
    let (raw_q, q, raw_k, kv) = queries_keys_values(b, attention_norm.out, &mut adapted);
    let attention = b.activation(SavedActivation::Attention, "attention", widths.queries);
    let stats = b.activation(SavedActivation::Attention, "attention.stats", 2 * widths.heads);
    b.push(Attention { q, k: kv.k, v: kv.v, segment_start, out: attention, stats, window });
    let post_attention = b.activation(SavedActivation::PostAttention, "post_attention", widths.hidden);
    let attention_output = add_to_residual(b, attention, (Projection::Output, Role::AttentionOutputNorm), x, post_attention, &mut adapted);

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
}

/// The rows of a layer's input, for the chunk at hand.
pub(super) fn chunk_input(b: &mut Builder, input: LayerInput) -> TensorId {
    let width = Widths::of(b.config()).hidden;
    match input {
        LayerInput::Kept(x) => x,
        LayerInput::Embedding => {
            let out = b.activation(SavedActivation::Norms, "input", width);
            embed(b, out);
            out
        }
        LayerInput::OnHost(x) => {
            let out = b.chunk_temporary("input", TensorKind::LayerInputs, width);
            b.push(HostCopy { x, out });
            out
        }
    }
}

pub(super) fn embed(b: &mut Builder, out: TensorId) {
    for slice in b.slices(Role::Embedding) {
        b.push(Embedding { input_ids: b.program.bindings.input_ids, weight: slice.value, out, first_id: slice.first_row });
    }
}

fn layer_norm(b: &mut Builder, name: &str, x: TensorId, role: Role) -> NormOutput {
    let out = b.activation(SavedActivation::Norms, name, Widths::of(b.config()).hidden);
    let rstd = b.activation(SavedActivation::Norms, &format!("{name}.rstd"), 1);
    rms_norm(b, x, role, NormOutput { out, rstd })
}

/// The norm before the head.
pub(super) fn final_norm(b: &mut Builder, x: TensorId) -> NormOutput {
    let out = b.tensor("final_norm", TensorKind::Activations, Rows::Chunk, Widths::of(b.config()).hidden);
    let rstd = b.tensor("final_norm.rstd", TensorKind::Activations, Rows::Chunk, 1);
    rms_norm(b, x, Role::FinalNorm, NormOutput { out, rstd })
}

/// `out = norm(x) · weight`.
fn rms_norm(b: &mut Builder, x: TensorId, role: Role, normed: NormOutput) -> NormOutput {
    let (NormOutput { out, rstd }, groups) = (normed, whole_row(b));
    b.push(RmsNorm { x, weight: b.vector(role), out, rstd, residual: None, groups });
    normed
}

/// A row of the residual stream is normed as a whole.
pub(super) fn whole_row(b: &Builder) -> NormGroups {
    NormGroups { count: 1, size: b.config().hidden_size }
}

/// Queries and keys are normed head by head.
pub(super) fn heads(b: &Builder, count: u32) -> NormGroups {
    NormGroups { count, size: b.config().head_dim }
}

/// The chunk's queries, and its keys and values, which are appended to the layer's; both also as they were before their norms, if they are
/// normed. The projections stand together, as do the norms and the turns: neighbours of one kind share a dispatch.
fn queries_keys_values(
    b: &mut Builder,
    normed: TensorId,
    adapted: &mut LoraIntermediates,
) -> (Option<NormInput>, TensorId, Option<TensorId>, KeysValues) {
    let (Widths { queries, keys, .. }, rows) = (Widths::of(b.config()), b.key_rows());
    let is_normed = b.config().family().qk_norm;
    let [k, v] = ["k", "v"].map(|name| b.of_layer(SavedActivation::KeysValues, name, TensorKind::KeysValues, rows, keys));
    let raw_k = is_normed.then(|| b.activation(SavedActivation::KeysValues, "raw_k", keys));
    let q = b.activation(SavedActivation::Queries, "q", queries);
    let raw_q = is_normed.then(|| b.activation(SavedActivation::Queries, "raw_q", queries));
    project(b, normed, Projection::Key, raw_k.unwrap_or(k), None, adapted);
    project(b, normed, Projection::Value, v, None, adapted);
    project(b, normed, Projection::Query, raw_q.unwrap_or(q), None, adapted);
    let k_rstd = raw_k.map(|x| {
        let groups = heads(b, b.config().num_key_value_heads);
        let rstd = b.of_layer(SavedActivation::KeysValues, "k.rstd", TensorKind::KeysValues, rows, groups.count);
        b.push(RmsNorm { x, weight: b.vector(Role::KeyNorm), out: k, rstd, residual: None, groups });
        rstd
    });
    let raw_q = raw_q.map(|x| {
        let groups = heads(b, b.config().num_attention_heads);
        let rstd = b.activation(SavedActivation::Queries, "q.rstd", groups.count);
        b.push(RmsNorm { x, weight: b.vector(Role::QueryNorm), out: q, rstd, residual: None, groups });
        NormInput { x, rstd }
    });
    rope(b, k, false);
    rope(b, q, false);
    (raw_q, q, raw_k, KeysValues { k, v, k_rstd })
}

/// `out = residual + projection(x)`, or `residual + norm(projection(x))` where the family norms it.
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
    let rstd = b.activation(saved_as, &format!("{name}.rstd"), 1);
    project(b, x, projection, raw, None, adapted);
    let groups = whole_row(b);
    b.push(RmsNorm { x: raw, weight: b.vector(norm), out, rstd, residual: Some(residual), groups });
    Some(NormInput { x: raw, rstd })
}

/// `out = weight · x (+ bias) (+ residual)`, and what the adapter adds. What the adapter's first matrix makes of `x`, scaled as
/// the adapter is (rank), is noted.
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
    b.push(Rope { x, segment_start: bindings.segment_start, table, is_local, inverse });
}
