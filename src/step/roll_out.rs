//! Roll-out: completions of a prompt are sampled, a token of each at a time, from keys and values of the prompt, which they share, and their
//! own.
//!
//! Its tokens are numbered apart from those of a batch. The prompt begins at 0. From [`RollOutShape::first_token`] on there is a place after
//! the other, each with a token of every completion; what a completion has at place 0 is the last token of its prompt, so that one block does
//! for all of its tokens. A window's keys and values lie in rings.

use bytemuck::{Pod, Zeroable};

use super::batch::BatchShape;
use super::builder::{Builder, TokenTensors};
use super::chunk::ChunkOrder;
use super::forward::{self, Attended, Cache, KeysValues, Widths};
use super::loss;
use super::ops::{DecodeAttention, Sample, VocabRange};
use super::program::{Pass, Program, RollOutBindings};
use super::strategy::Strategy;
use super::tensor::{Element, Rows, Storage, TOKEN_TILE, Tensor, TensorId, TensorKind};
use crate::model::ModelSpec;

/// Tokens of a prompt that go through the layers at once.
const PROMPT_CHUNK: u32 = 256;

/// What a roll-out has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollOutShape {
    /// P: tokens of a prompt.
    pub prompt: u32,
    /// G: completions that are sampled together.
    pub rows: u32,
    /// M: tokens of a completion.
    pub completion: u32,
}

/// How completions are sampled: the contents of [`RollOutBindings::sampling`], and the layout of `Sampling` in `shaders/sampling.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sampling {
    /// The key of the random numbers. Each token of the vocabulary has one at each place of each completion: words of ChaCha8, whose
    /// stream is the place and the number of the completion.
    pub key: [u32; 8],
    /// What logits are divided by; 0 always takes the most likely token.
    pub temperature: f32,
    /// Sample only from the fewest most likely tokens whose probabilities add up to that.
    pub top_p: f32,
    /// Sample only from that many most likely tokens; as many as there are, or more, for all.
    pub top_k: u32,
    /// The number of the first completion.
    pub first_completion: u32,
    /// Tokens of the prompt before its last one.
    pub prefix: u32,
    /// Nothing.
    pub padding: [u32; 3],
}

/// 32-bit words of [`Sampling`].
const SAMPLING_WORDS: u32 = size_of::<Sampling>() as u32 / 4;

impl RollOutShape {
    /// The most completions that are sampled together.
    pub const MOST_ROWS: u32 = TOKEN_TILE;

    /// The number of the token that the first completion has at place 0. So far behind the prompt that no token's position is larger than
    /// its number.
    pub fn first_token(&self) -> u32 {
        self.prompt.next_multiple_of(self.rows)
    }

    /// The numbers of tokens that there are, the sampled ones included.
    fn tokens(&self) -> u32 {
        self.first_token() + self.rows * (self.completion + 1)
    }

    /// Tokens that go through the layers with the prompt: all but its last one, which goes with each completion.
    fn prefix(&self) -> u32 {
        self.prompt - 1
    }

    /// Checks that there is room for something.
    ///
    /// # Panics
    /// If there is none, or for more completions than can be sampled together.
    fn check(&self) {
        let has_room = self.prompt > 0 && self.completion > 0 && (1..=RollOutShape::MOST_ROWS).contains(&self.rows);
        assert!(has_room, "a roll-out of {self:?}");
    }

    /// What is subtracted from the number of each token to give its position, for a prompt of so many tokens.
    ///
    /// # Panics
    /// If the prompt is longer than there is room for.
    pub fn origins(&self, prompt: u32) -> Vec<u32> {
        assert!((1..=self.prompt).contains(&prompt), "a prompt of {prompt} tokens for {self:?}");
        let first = self.first_token();
        let of_completion = |token: u32| token - (prompt - 1 + (token - first) / self.rows);
        (0..self.tokens()).map(|token| if token < first { 0 } else { of_completion(token) }).collect()
    }
}

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
        b.push_tensor(Tensor { name: name.to_owned(), kind, layer: None, rows, row_count, cols, element, storage: Storage::Own })
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
    let len = PROMPT_CHUNK.min(shape.prefix().max(1));
    let rows = |b: &Builder| ring(shape.prefix().max(1), b.config().window(b.layer()), len);
    let order = ChunkOrder::Apart { first: 0, tokens: shape.prefix(), len };
    let write = |b: &mut Builder| {
        layers(b, |b, x, out| {
            let cache = Cache { prefix: "prompt.", rows: rows(b) };
            forward::layer_forward(b, x, out, cache).kv
        })
    };
    if shape.prefix() > 0 {
        return b.block(Pass::RollOut, "prompt", order, |b| write(b).0);
    }
    // Nothing precedes the only token; attention still binds something.
    let keys = Widths::of(b.config()).keys;
    let empty = |b: &mut Builder, name| b.tensor(name, TensorKind::KeysValues, Rows::Ring(1), keys);
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
    let mut x = b.in_layer(0, |b| b.tensor("input", TensorKind::Activations, Rows::Chunk, hidden));
    forward::embed(b, x);
    let of_layer = |number| {
        b.in_layer(number, |b| {
            let out = b.tensor("output", TensorKind::Activations, Rows::Chunk, hidden);
            let result = layer(b, x, out);
            x = out;
            result
        })
    };
    let results = (0..count).map(of_layer).collect();
    (results, x)
}

/// Rows for keys of so many tokens: all of them, or a ring of whole chunks that holds a chunk and the window before it.
fn ring(tokens: u32, window: Option<u32>, chunk: u32) -> Rows {
    let of_window = window.map(|window| ((window - 1).div_ceil(chunk) + 1).saturating_mul(chunk));
    Rows::Ring(of_window.unwrap_or(u32::MAX).min(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_on_behind_the_prompt() {
        let shape = RollOutShape { prompt: 5, rows: 3, completion: 4 };
        assert_eq!(shape.first_token(), 6);
        for prompt in [1, 4, 5] {
            let origins = shape.origins(prompt);
            let positions: Vec<u32> = (0..).zip(origins).map(|(token, origin)| token - origin).collect();
            assert_eq!(positions[..5], [0, 1, 2, 3, 4]);
            let of_completions: Vec<u32> = (0..5).flat_map(|place| [prompt - 1 + place; 3]).collect();
            assert_eq!(positions[6..], of_completions);
        }
    }

    #[test]
    fn a_ring_is_no_longer_than_the_prompt() {
        assert_eq!(ring(1000, None, 256), Rows::Ring(1000));
        assert_eq!(ring(1000, Some(2), 256), Rows::Ring(512));
        assert_eq!(ring(300, Some(200), 256), Rows::Ring(300));
    }
}
