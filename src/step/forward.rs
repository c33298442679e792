//! The forward pass: token ids to the last hidden state, layer by layer, chunk by chunk.

use super::builder::Builder;
use super::{Kind, Op, Pass, Rows, TensorId, Walk};
use crate::model::{Config, Role};

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

/// Keys and values of a layer, for all tokens (N×K·E each).
#[derive(Clone, Copy)]
pub struct KeysValues {
    pub k: TensorId,
    pub v: TensorId,
}

/// What a layer computes between its input and its output, for a chunk of tokens.
pub struct Activations {
    /// The input's norm (D).
    pub attention_norm: Normed,
    /// Queries, turned (H·E).
    pub q: TensorId,
    /// The attention's output (H·E).
    pub attention: TensorId,
    /// Log-sum-exp of each row and head, and room for a backward sum (H×2).
    pub stats: TensorId,
    /// The residual stream between attention and MLP (D).
    pub middle: TensorId,
    /// Its norm (D).
    pub mlp_norm: Normed,
    /// (F)
    pub gate: TensorId,
    /// (F)
    pub up: TensorId,
    /// `silu(gate) · up` (F).
    pub mlp: TensorId,
}

/// The outcome of an RMSNorm.
#[derive(Clone, Copy)]
pub struct Normed {
    /// The normalised rows (D).
    pub out: TensorId,
    /// `1 / rms` of each row (1).
    pub rstd: TensorId,
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
                let norm = rms_norm(b, "attention_norm", x, Role::AttentionNorm, rows);
                let kv = keys_values(b, norm.out);
                let activations = activations(b, x, norm, kv, rows);
                b.push(Op::Linear { x: activations.mlp, weight: b.weight(Role::Down), out: output, residual: Some(activations.middle) });
                (kv, activations)
            })
        });
        kept.push(KeptLayer { input, inside: keep.then_some(inside) });
        input = LayerInput::Kept(output);
    }
    let LayerInput::Kept(hidden) = input else { panic!("a model has a layer") };
    Kept { layers: kept, hidden }
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
    b.push(Op::Embedding { input_ids: b.program.bindings.input_ids, weight: b.weight(Role::Embedding), out });
}

/// `out = norm(x) · weight`.
pub(super) fn rms_norm(b: &mut Builder, name: &str, x: TensorId, role: Role, rows: Rows) -> Normed {
    let width = Widths::of(b.config()).hidden;
    let out = b.tensor(name, Kind::Activations, rows, width);
    let rstd = b.tensor(&format!("{name}.rstd"), Kind::Activations, rows, 1);
    b.push(Op::RmsNorm { x, weight: b.weight(role), out, rstd });
    Normed { out, rstd }
}

/// Appends the chunk's keys and values to the layer's.
pub(super) fn keys_values(b: &mut Builder, normed: TensorId) -> KeysValues {
    let width = Widths::of(b.config()).keys;
    let [k, v] = ["k", "v"].map(|name| b.tensor(name, Kind::KeysValues, Rows::Tokens, width));
    linear(b, normed, Role::Key, k);
    rope(b, k, false);
    linear(b, normed, Role::Value, v);
    KeysValues { k, v }
}

/// Everything of a layer from its normed input up to what the last projection reads.
pub(super) fn activations(b: &mut Builder, x: TensorId, attention_norm: Normed, kv: KeysValues, rows: Rows) -> Activations {
    let widths = Widths::of(b.config());
    let segment_start = b.program.bindings.segment_start;
    let tensor = |b: &mut Builder, name: &str, cols| b.tensor(name, Kind::Activations, rows, cols);

    let q = tensor(b, "q", widths.queries);
    linear(b, attention_norm.out, Role::Query, q);
    rope(b, q, false);
    let attention = tensor(b, "attention", widths.queries);
    let stats = tensor(b, "attention.stats", 2 * widths.heads);
    b.push(Op::Attention { q, k: kv.k, v: kv.v, segment_start, out: attention, stats });
    let middle = tensor(b, "middle", widths.hidden);
    b.push(Op::Linear { x: attention, weight: b.weight(Role::Output), out: middle, residual: Some(x) });

    let mlp_norm = rms_norm(b, "mlp_norm", middle, Role::MlpNorm, rows);
    let gate = tensor(b, "gate", widths.mlp);
    let up = tensor(b, "up", widths.mlp);
    let mlp = tensor(b, "mlp", widths.mlp);
    linear(b, mlp_norm.out, Role::Gate, gate);
    linear(b, mlp_norm.out, Role::Up, up);
    b.push(Op::SwiGlu { gate, up, out: mlp });
    Activations { attention_norm, q, attention, stats, middle, mlp_norm, gate, up, mlp }
}

pub(super) fn linear(b: &mut Builder, x: TensorId, role: Role, out: TensorId) {
    b.push(Op::Linear { x, weight: b.weight(role), out, residual: None });
}

pub(super) fn rope(b: &mut Builder, x: TensorId, inverse: bool) {
    let (segment_start, table) = (b.program.bindings.segment_start, b.program.bindings.rope_table);
    b.push(Op::Rope { x, segment_start, table, inverse });
}
