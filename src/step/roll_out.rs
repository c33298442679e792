//! Roll-out: completions of a prompt are sampled, a token of each at a time, from keys and values of the prompt, which they share, and their
//! own.
//!
//! Its tokens are numbered apart from those of a batch. The prompt begins at 0. From [`RollOutShape::first_token`] on there is a place after
//! the other, each with a token of every completion; what a completion has at place 0 is the last token of its prompt, so that one block does
//! for all of its tokens. A window's keys and values lie in rings.

use super::batch::BatchShape;
use super::builder::{Builder, TokenTensors};
use super::chunk::ChunkOrder;
use super::forward::{self, Attended, Cache, KeysValues, Widths};
use super::loss;
use super::ops::{DecodeAttention, Sample, VocabRange};
use super::program::{Pass, Program, RollOutBindings};
use super::sampling::SAMPLING_WORDS;
use super::strategy::Strategy;
use super::tensor::{Element, Rows, Storage, TOKEN_TILE, Tensor, TensorId, TensorKind};
use crate::model::ModelSpec;

pub use super::sampling::{RollOutShape, Sampling};

/// Tokens of a prompt that go through the layers at once.
const PROMPT_CHUNK: u32 = 256;

impl Program {
    /// A program that samples completions, and does nothing else.
    ///
    /// # Panics
    /// If the shape has no room for anything, or for more completions than can be sampled together.
    pub fn roll_out(spec: impl Into<ModelSpec>, shape: RollOutShape) -> Program {
        let mut b = Builder::new(spec, BatchShape::uniform(1, shape.prompt + shape.completion), Strategy::stream(TOKEN_TILE, TOKEN_TILE));
        add_tensors(&mut b, shape);
        write(&mut b);
        b.finish()
    }
}

/// Appends the roll-out, whose tensors were added.
pub(super) fn write(b: &mut Builder) {
    let bindings = b.program.bindings.roll_out.expect("its tensors were added");
    let shape = bindings.shape;
    let tokens = TokenTensors { input_ids: bindings.input_ids, origins: bindings.origins };
    b.with_tokens(tokens, |b| {
        let prompt = write_prompt(b, shape);
        let order = ChunkOrder::Apart { first: shape.first_token(), tokens: shape.rows * shape.completion, len: shape.rows };
        b.block(Pass::RollOut, "decode", order, |b| decode(b, &bindings, &prompt));
    });
}

/// Adds the tensors of a roll-out that the host knows.
///
/// # Panics
/// If the shape has no room for anything, or for more completions than can be sampled together.
pub(super) fn add_tensors(b: &mut Builder, shape: RollOutShape) {
    shape.check();
    let mut add = |name: &str, kind, rows, cols, element| {
        let (Rows::Fixed(row_count) | Rows::Ring(row_count)) = rows else { panic!("{rows:?} are rows of a batch") };
        b.push_tensor(Tensor::new(name, kind, (rows, row_count), cols, element, Storage::Own))
    };
    let mut of_tokens = |name, tokens, element| add(name, TensorKind::Batch, Rows::Ring(tokens), 1, element);
    let bindings = RollOutBindings {
        shape,
        input_ids: of_tokens("roll_out.input_ids", shape.tokens(), Element::U32),
        origins: of_tokens("roll_out.origins", shape.tokens(), Element::U32),
        log_probs: of_tokens("roll_out.log_probs", shape.rows * shape.completion, Element::F32),
        sampling: add("roll_out.sampling", TensorKind::Scratch, Rows::Fixed(1), SAMPLING_WORDS, Element::U32),
    };
    b.program.bindings.roll_out = Some(bindings);
}

/// Appends the pass of a prompt through the layers, for its keys and values.
fn write_prompt(b: &mut Builder, shape: RollOutShape) -> Vec<KeysValues> {
    let tokens = shape.prefix();
    if tokens > 0 {
        let order = ChunkOrder::Apart { first: 0, tokens, len: PROMPT_CHUNK.min(tokens) };
        let layer = |b: &mut Builder, x, out| {
            let cache = Cache { prefix: "prompt.", rows: prompt_rows(tokens, b.config().window(b.layer())) };
            forward::layer_forward(b, x, out, cache).kv
        };
        return b.block(Pass::RollOut, "prompt", order, |b| layers(b, layer).0);
    }
    // Nothing precedes the only token; attention still binds something.
    let keys = Widths::of(b.config()).keys;
    let empty = |b: &mut Builder, name| b.activation_tensor(name, TensorKind::KeysValues, Rows::Ring(1), keys);
    let of_layer = |b: &mut Builder| KeysValues { k: empty(b, "prompt.k"), v: empty(b, "prompt.v"), k_rstd: None };
    (0..b.config().num_hidden_layers).map(|layer| b.in_layer(layer, of_layer)).collect()
}

/// Appends the pass of a token of each completion through the layers, and the sampling of the next.
fn decode(b: &mut Builder, bindings: &RollOutBindings, prompt: &[KeysValues]) {
    let RollOutBindings { shape, input_ids, log_probs, sampling, .. } = *bindings;
    let RollOutShape { rows, completion, .. } = shape;
    let first_token = shape.first_token();
    let (_, hidden) = layers(b, |b, x, out| {
        let window = b.config().window(b.layer());
        let KeysValues { k: prompt_k, v: prompt_v, .. } = prompt[b.layer() as usize];
        let cache = Cache { prefix: "completion.", rows: Rows::Ring(rows * completion.min(window.unwrap_or(completion))) };
        let attend = |b: &mut Builder, Attended { q, kv, out, .. }: Attended| {
            b.push(DecodeAttention { q, prompt_k, prompt_v, k: kv.k, v: kv.v, sampling, out, rows, first_token, window });
        };
        forward::layer_with(b, x, out, cache, attend).kv
    });
    let norm = forward::final_norm(b, hidden);
    let logits = loss::logits_of(b, norm.out, VocabRange { first: 0, count: b.config().vocab_size });
    b.push(Sample { logits, sampling, input_ids, log_probs, rows, first_token });
}

/// Appends all layers, with the rows of a chunk between them. Returns what `layer` does for each, and the output of the last.
fn layers<T>(b: &mut Builder, mut layer: impl FnMut(&mut Builder, TensorId, TensorId) -> T) -> (Vec<T>, TensorId) {
    let (hidden, count) = (Widths::of(b.config()).hidden, b.config().num_hidden_layers);
    let mut x = b.in_layer(0, |b| b.activation_tensor("input", TensorKind::Activations, Rows::Chunk, hidden));
    forward::embed(b, x);
    let of_layer = |number| {
        b.in_layer(number, |b| {
            let out = b.activation_tensor("output", TensorKind::Activations, Rows::Chunk, hidden);
            let result = layer(b, x, out);
            x = out;
            result
        })
    };
    let results = (0..count).map(of_layer).collect();
    (results, x)
}

/// Rows for keys of so many tokens of a prompt: all of them, or a ring that holds a chunk and the window before it.
fn prompt_rows(tokens: u32, window: Option<u32>) -> Rows {
    let ring = window.and_then(|window| Strategy::stream(PROMPT_CHUNK, PROMPT_CHUNK).ring(tokens, window));
    Rows::Ring(ring.unwrap_or(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_no_longer_than_the_prompt() {
        assert_eq!(prompt_rows(1000, None), Rows::Ring(1000));
        assert_eq!(prompt_rows(1000, Some(2)), Rows::Ring(512));
        assert_eq!(prompt_rows(300, Some(200)), Rows::Ring(300));
    }
}
