//! The forward pass: token ids to the last hidden state, layer by layer, chunk by chunk.

use super::builder::{Adapter, Builder};
use super::{Groups, Kind, Op, Pass, Rows, TensorId, Walk};
use crate::model::{Config, Projection, Role};

/// What the forward pass leaves for the rest of the step.
pub struct Kept {
    /// What each layer left.
    pub layers: Vec<KeptLayer>,
    /// The last hidden state (N×D). The loss overwrites it by its gradient.
    pub hidden: TensorId,
}

/// What a layer left for its backward pass.
pub struct KeptLayer {
    /// The layer's input, kept or to be made again.
    pub input: LayerInput,
    /// Everything else, if the strategy keeps it.
    pub inside: Option<(KeysValues, Activations)>,
}

/// Where a layer's input comes from.
#[derive(Clone, Copy)]
pub enum LayerInput {
    /// It was kept (N×D).
    Kept(TensorId),
    /// It is the embedding of the token ids, which costs less to look up again than to keep.
    Embedding,
}

/// Keys and values of a layer (K·E each), for all tokens, or for as many as its window needs.
#[derive(Clone, Copy)]
pub struct KeysValues {
    pub k: TensorId,
    pub v: TensorId,
    /// `1 / rms` of each key before its norm, if keys are normed (K).
    pub k_rstd: Option<TensorId>,
}

/// What a layer computes between its input and its output, for a chunk of tokens.
pub struct Activations {
    /// The input's norm (D).
    pub attention_norm: Normed,
    /// Queries before their norm, if they are normed, with `1 / rms` of each (H·E).
    pub raw_q: Option<Raw>,
    /// Keys before their norm, if they are normed and kept (K·E).
    pub raw_k: Option<TensorId>,
    /// Queries, turned (H·E).
    pub q: TensorId,
    /// The attention's output (H·E).
    pub attention: TensorId,
    /// Log-sum-exp of each row and head, and room for a backward sum (H×2).
    pub stats: TensorId,
    /// What the attention yields before its norm, if that is normed (D).
    pub attention_output: Option<Raw>,
    /// The residual stream between attention and MLP (D).
    pub middle: TensorId,
    /// Its norm (D).
    pub mlp_norm: Normed,
    /// (F)
    pub gate: TensorId,
    /// (F)
    pub up: TensorId,
    /// `act(gate) · up` (F).
    pub mlp: TensorId,
    /// What the MLP yields before its norm, if that is normed (D).
    pub mlp_output: Option<Raw>,
    /// What adapters' first matrices made of what they read (rank).
    pub adapted: Adapted,
}

/// What adapters' first matrices made of what they read, by projection.
#[derive(Default)]
pub struct Adapted(Vec<(Projection, TensorId)>);

impl Adapted {
    /// That of a projection.
    pub fn get(&self, projection: Projection) -> Option<TensorId> {
        self.0.iter().find(|(p, _)| *p == projection).map(|(_, id)| *id)
    }
}

/// What a norm reads.
#[derive(Clone, Copy)]
pub struct Raw {
    /// The rows before the norm.
    pub x: TensorId,
    /// `1 / rms` of each group of a row.
    pub rstd: TensorId,
}

/// The outcome of an RMSNorm.
#[derive(Clone, Copy)]
pub struct Normed {
    /// The normalised rows (D).
    pub out: TensorId,
    /// `1 / rms` of each row (1).
    pub rstd: TensorId,
}

impl Normed {
    /// The same seen from what was normed.
    pub fn of(&self, x: TensorId) -> Raw {
        Raw { x, rstd: self.rstd }
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

/// Writes the forward pass of a training step.
pub fn write(b: &mut Builder) -> Kept {
    let keep = b.program.strategy.keeps_activations();
    let chunk = b.program.strategy.chunk(b.tokens());
    let layers = b.config().num_hidden_layers;
    let width = Widths::of(b.config()).hidden;
    let mut input = embedded_input(b, keep);
    let mut kept = Vec::new();
    for layer in 0..layers {
        let output = match layer + 1 {
            next if next < layers => b.in_layer(next, |b| b.tensor("input", Kind::LayerInputs, Rows::Tokens, width)),
            _ => b.tensor("hidden", Kind::HiddenGradient, Rows::Tokens, width),
        };
        let rows = if keep { Rows::Tokens } else { Rows::Chunk(chunk) };
        let inside = b.in_layer(layer, |b| {
            b.block(Pass::Forward, "forward", Walk::Ascending(chunk), |b| {
                let x = chunk_input(b, input, chunk);
                layer_forward(b, x, output, rows)
            })
        });
        kept.push(KeptLayer { input, inside: keep.then_some(inside) });
        input = LayerInput::Kept(output);
    }
    let LayerInput::Kept(hidden) = input else { panic!("a model has a layer") };
    Kept { layers: kept, hidden }
}

/// One layer, from the rows of its input to those of its output.
pub(super) fn layer_forward(b: &mut Builder, x: TensorId, out: TensorId, rows: Rows) -> (KeysValues, Activations) {
    let norm = rms_norm(b, "attention_norm", x, Role::AttentionNorm, rows);
    let mut adapted = Adapted::default();
    let (kv, raw_k) = keys_values(b, norm.out, rows, &mut adapted);
    let mut activations = activations(b, x, norm, kv, rows, adapted);
    activations.raw_k = raw_k;
    layer_output(b, &mut activations, out, rows);
    (kv, activations)
}

/// The first layer's input: kept where everything is.
fn embedded_input(b: &mut Builder, keep: bool) -> LayerInput {
    if !keep {
        return LayerInput::Embedding;
    }
    let width = Widths::of(b.config()).hidden;
    let out = b.in_layer(0, |b| b.tensor("input", Kind::LayerInputs, Rows::Tokens, width));
    b.block(Pass::Forward, "embedding", Walk::Once, |b| embed(b, out));
    LayerInput::Kept(out)
}

/// The rows of a layer's input, for the chunk at hand.
pub(super) fn chunk_input(b: &mut Builder, input: LayerInput, chunk: u32) -> TensorId {
    match input {
        LayerInput::Kept(x) => x,
        LayerInput::Embedding => {
            let width = Widths::of(b.config()).hidden;
            let out = b.tensor("input", Kind::Activations, Rows::Chunk(chunk), width);
            embed(b, out);
            out
        }
    }
}

pub(super) fn embed(b: &mut Builder, out: TensorId) {
    for part in b.weight(Role::Embedding) {
        b.push(Op::Embedding { input_ids: b.program.bindings.input_ids, weight: part.tensor, out, first_id: part.first_row });
    }
}

/// `out = norm(x) · weight`.
pub(super) fn rms_norm(b: &mut Builder, name: &str, x: TensorId, role: Role, rows: Rows) -> Normed {
    let out = b.tensor(name, Kind::Activations, rows, Widths::of(b.config()).hidden);
    let rstd = b.tensor(&format!("{name}.rstd"), Kind::Activations, rows, 1);
    let groups = whole_row(b);
    b.push(Op::RmsNorm { x, weight: b.vector(role), out, rstd, residual: None, groups });
    Normed { out, rstd }
}

/// A row of the residual stream is normed as a whole.
pub(super) fn whole_row(b: &Builder) -> Groups {
    Groups { count: 1, size: b.config().hidden_size }
}

/// Queries and keys are normed head by head.
pub(super) fn heads(b: &Builder, count: u32) -> Groups {
    Groups { count, size: b.config().head_dim }
}

/// Appends the chunk's keys and values to the layer's. Also returns the keys before their norm, if they are normed.
pub(super) fn keys_values(b: &mut Builder, normed: TensorId, rows: Rows, adapted: &mut Adapted) -> (KeysValues, Option<TensorId>) {
    let (width, kept) = (Widths::of(b.config()).keys, b.key_rows());
    let [k, v] = ["k", "v"].map(|name| b.tensor(name, Kind::KeysValues, kept, width));
    let (raw, k_rstd) = if b.config().family().norms_queries_and_keys {
        let groups = heads(b, b.config().num_key_value_heads);
        let raw = raw_keys(b, normed, rows, adapted);
        let rstd = b.tensor("k.rstd", Kind::KeysValues, kept, groups.count);
        b.push(Op::RmsNorm { x: raw, weight: b.vector(Role::KeyNorm), out: k, rstd, residual: None, groups });
        (Some(raw), Some(rstd))
    } else {
        project(b, normed, Projection::Key, k, None, rows, adapted);
        (None, None)
    };
    rope(b, k, false);
    project(b, normed, Projection::Value, v, None, rows, adapted);
    (KeysValues { k, v, k_rstd }, raw)
}

/// The chunk's keys before their norm.
pub(super) fn raw_keys(b: &mut Builder, normed: TensorId, rows: Rows, adapted: &mut Adapted) -> TensorId {
    let raw = b.tensor("raw_k", Kind::Activations, rows, Widths::of(b.config()).keys);
    project(b, normed, Projection::Key, raw, None, rows, adapted);
    raw
}

/// Everything of a layer from its normed input up to what the last projection reads.
pub(super) fn activations(
    b: &mut Builder,
    x: TensorId,
    attention_norm: Normed,
    kv: KeysValues,
    rows: Rows,
    mut adapted: Adapted,
) -> Activations {
    let widths = Widths::of(b.config());
    let segment_start = b.program.bindings.segment_start;
    let tensor = |b: &mut Builder, name: &str, cols| b.tensor(name, Kind::Activations, rows, cols);

    let (q, raw_q) = queries(b, attention_norm.out, rows, &mut adapted);
    let attention = tensor(b, "attention", widths.queries);
    let stats = tensor(b, "attention.stats", 2 * widths.heads);
    let window = b.config().window(b.layer());
    b.push(Op::Attention { q, k: kv.k, v: kv.v, segment_start, out: attention, stats, window });
    let middle = tensor(b, "middle", widths.hidden);
    let attention_output = add_to_residual(b, attention, (Projection::Output, Role::AttentionOutputNorm), x, middle, rows, &mut adapted);

    let mlp_norm = rms_norm(b, "mlp_norm", middle, Role::MlpNorm, rows);
    let gate = tensor(b, "gate", widths.mlp);
    let up = tensor(b, "up", widths.mlp);
    let mlp = tensor(b, "mlp", widths.mlp);
    project(b, mlp_norm.out, Projection::Gate, gate, None, rows, &mut adapted);
    project(b, mlp_norm.out, Projection::Up, up, None, rows, &mut adapted);
    b.push(Op::Glu { gate, up, out: mlp });
    let (raw_k, mlp_output) = (None, None);
    Activations {
        attention_norm,
        raw_q,
        raw_k,
        q,
        attention,
        stats,
        attention_output,
        middle,
        mlp_norm,
        gate,
        up,
        mlp,
        mlp_output,
        adapted,
    }
}

fn queries(b: &mut Builder, normed: TensorId, rows: Rows, adapted: &mut Adapted) -> (TensorId, Option<Raw>) {
    let width = Widths::of(b.config()).queries;
    let q = b.tensor("q", Kind::Activations, rows, width);
    let raw = if b.config().family().norms_queries_and_keys {
        let groups = heads(b, b.config().num_attention_heads);
        let x = b.tensor("raw_q", Kind::Activations, rows, width);
        let rstd = b.tensor("q.rstd", Kind::Activations, rows, groups.count);
        project(b, normed, Projection::Query, x, None, rows, adapted);
        b.push(Op::RmsNorm { x, weight: b.vector(Role::QueryNorm), out: q, rstd, residual: None, groups });
        Some(Raw { x, rstd })
    } else {
        project(b, normed, Projection::Query, q, None, rows, adapted);
        None
    };
    rope(b, q, false);
    (q, raw)
}

/// The layer's output: what the MLP yields, added to the residual stream.
pub(super) fn layer_output(b: &mut Builder, a: &mut Activations, out: TensorId, rows: Rows) {
    a.mlp_output = add_to_residual(b, a.mlp, (Projection::Down, Role::MlpOutputNorm), a.middle, out, rows, &mut a.adapted);
}

/// `out = residual + projection(x)`, or `residual + norm(projection(x))` where the family norms it.
fn add_to_residual(
    b: &mut Builder,
    x: TensorId,
    (projection, norm): (Projection, Role),
    residual: TensorId,
    out: TensorId,
    rows: Rows,
    adapted: &mut Adapted,
) -> Option<Raw> {
    if !b.config().family().norms_outputs {
        project(b, x, projection, out, Some(residual), rows, adapted);
        return None;
    }
    let raw = b.tensor(&format!("raw_{}", projection.name()), Kind::Activations, rows, Widths::of(b.config()).hidden);
    project(b, x, projection, raw, None, rows, adapted);
    let rstd = b.tensor(&format!("{}.rstd", projection.name()), Kind::Activations, rows, 1);
    let groups = whole_row(b);
    b.push(Op::RmsNorm { x: raw, weight: b.vector(norm), out, rstd, residual: Some(residual), groups });
    Some(Raw { x: raw, rstd })
}

/// `out = weight · x (+ bias) (+ residual)`, and what the adapter adds. What the adapter's first matrix makes of `x` is noted.
pub(super) fn project(
    b: &mut Builder,
    x: TensorId,
    projection: Projection,
    out: TensorId,
    residual: Option<TensorId>,
    rows: Rows,
    adapted: &mut Adapted,
) {
    let (weight, bias) = (b.weight(Role::Weight(projection)), b.bias(projection));
    for part in weight {
        let (weight, slice) = (part.tensor, part.whole());
        b.push(Op::Linear { x, weight, out, bias, residual, slice, scale: 1.0, accumulate: false });
    }
    if let Some(adapter) = b.adapter(projection) {
        let inner = adapter_input(b, x, projection, &adapter, rows);
        for part in adapter.b {
            let (weight, slice) = (part.tensor, part.whole());
            b.push(Op::Linear { x: inner, weight, out, bias: None, residual: None, slice, scale: 1.0, accumulate: true });
        }
        adapted.0.push((projection, inner));
    }
}

/// What an adapter's first matrix makes of `x`, scaled as the adapter is (rank).
pub(super) fn adapter_input(b: &mut Builder, x: TensorId, projection: Projection, adapter: &Adapter, rows: Rows) -> TensorId {
    let out = b.tensor(&format!("{}.adapter", projection.name()), Kind::Activations, rows, adapter.width);
    for part in &adapter.a {
        let (weight, slice, scale) = (part.tensor, part.whole(), adapter.scale);
        b.push(Op::Linear { x, weight, out, bias: None, residual: None, slice, scale, accumulate: false });
    }
    out
}

pub(super) fn rope(b: &mut Builder, x: TensorId, inverse: bool) {
    let is_local = b.config().window(b.layer()).is_some();
    let bindings = &b.program.bindings;
    let table = if is_local { bindings.local_rope_table } else { bindings.rope_table };
    b.push(Op::Rope { x, segment_start: bindings.segment_start, table, is_local, inverse });
}
