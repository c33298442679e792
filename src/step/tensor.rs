//! What a step computes with: tensors by name, with their sizes and what they are for.

use super::chunk::Chunk;
use crate::model::Dtype;

/// Tokens of a tile: every sum over tokens is cut here and nowhere else, so every chunk is a whole number of them.
///
/// 64 tokens of four-byte elements are 256 bytes, the offset alignment that WebGPU guarantees.
pub const TOKEN_TILE: u32 = 64;

/// Bytes to which WebGPU aligns the offset of a binding on every adapter.
pub const BINDING_ALIGNMENT: u64 = 256;

/// Token ids of a tile: sums over the vocabulary are cut here and where a tensor ends, so every range of logits is a whole number of
/// them.
pub const VOCAB_TILE: u32 = 1024;

/// A tensor's place in [`Program::tensors`](super::Program::tensors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);

/// What a tensor's bytes are spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorKind {
    /// Parameters.
    Weights,
    /// Gradients of parameters.
    Gradients,
    /// AdamW's moments.
    Optimizer,
    /// Token ids, labels, weights of tokens, and what comes back of them.
    Batch,
    /// Uniforms, tables, partial sums, read-backs.
    Scratch,
    /// Inputs of layers, kept from the forward pass.
    LayerInputs,
    /// The gradient of the hidden state (before the loss: the last hidden state).
    HiddenGradient,
    /// Keys and values of a layer.
    KeysValues,
    /// Gradients of keys and values of a layer.
    KeysValuesGradients,
    /// Everything else inside a layer or the final norm.
    Activations,
    /// Logits, and their gradient in the same place.
    Logits,
}

impl TensorKind {
    /// All kinds, in the order in which pictures stack them.
    pub const ALL: [TensorKind; 11] = [
        TensorKind::Weights,
        TensorKind::Gradients,
        TensorKind::Optimizer,
        TensorKind::Batch,
        TensorKind::Scratch,
        TensorKind::LayerInputs,
        TensorKind::HiddenGradient,
        TensorKind::KeysValues,
        TensorKind::KeysValuesGradients,
        TensorKind::Activations,
        TensorKind::Logits,
    ];

    /// The name in JSON and in style sheets.
    pub fn name(self) -> &'static str {
        match self {
            TensorKind::Weights => "weights",
            TensorKind::Gradients => "gradients",
            TensorKind::Optimizer => "optimizer",
            TensorKind::LayerInputs => "layer_inputs",
            TensorKind::HiddenGradient => "hidden_gradient",
            TensorKind::KeysValues => "keys_values",
            TensorKind::KeysValuesGradients => "keys_values_gradients",
            TensorKind::Activations => "activations",
            TensorKind::Logits => "logits",
            TensorKind::Batch => "batch",
            TensorKind::Scratch => "scratch",
        }
    }
}

/// What a row of a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// A fixed number of rows that are no tokens.
    Fixed(u32),
    /// A row for every token of the batch; row i is token i.
    Tokens,
    /// A row for each of that many tokens, a whole number of chunks: token i has row `i mod` their number, where it takes the place of
    /// one that is out of sight.
    Ring(u32),
    /// A row for every token of a chunk; row i is token `chunk.start + i`.
    Chunk,
}

impl Rows {
    /// After how many tokens the rows begin anew, if they are tokens' rows: the chunk's first row is `chunk.start mod` this.
    pub fn row_modulus(self) -> Option<u32> {
        match self {
            Rows::Fixed(_) => None,
            Rows::Tokens => Some(u32::MAX),
            Rows::Ring(tokens) => Some(tokens),
            // Wherever a chunk starts, its first row is the first.
            Rows::Chunk => Some(1),
        }
    }

    /// The row of a token, when that chunk is at work.
    ///
    /// # Panics
    /// If the rows are no tokens.
    pub fn row_of(self, token: u32, chunk: Chunk) -> u32 {
        match self {
            Rows::Fixed(_) => panic!("the rows are no tokens"),
            Rows::Tokens => token,
            Rows::Ring(tokens) => token % tokens,
            Rows::Chunk => token - chunk.start,
        }
    }
}

/// Where a tensor's bytes come from, and so for how long they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A buffer of its own for as long as the program lives: a storage buffer that hosts and kernels read and write.
    Own,
    /// A uniform buffer of its own.
    Uniform,
    /// A buffer of its own that the host maps to read.
    ReadBack,
    /// Shares the arena with others whose lives do not overlap with its own.
    Arena,
    /// The host's own memory, which no kernel sees.
    Host,
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A float, as it is stored.
    Float(Dtype),
    /// An index or a length.
    U32,
}

impl Element {
    /// A float of four bytes.
    pub const F32: Element = Element::Float(Dtype::F32);
}

/// One tensor of a step, a matrix in row-major order.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name. What is recomputed has the name of what was computed first.
    pub name: String,
    /// What it is for.
    pub kind: TensorKind,
    /// Its layer, if it has one.
    pub layer: Option<u32>,
    /// What its rows are.
    pub rows: Rows,
    /// Rows for which there is memory.
    pub row_count: u32,
    /// Elements of a row, padding included. Where kernels read four at a time, it is a multiple of four.
    pub cols: u32,
    /// The type of an element.
    pub element: Element,
    /// Where its bytes come from.
    pub storage: Storage,
}

impl Tensor {
    /// Gives a tensor whose rows are no tokens another number of them.
    pub(super) fn set_rows(&mut self, count: u32) {
        (self.rows, self.row_count) = (Rows::Fixed(count), count);
    }

    /// Elements, padding included.
    pub fn elements(&self) -> u64 {
        u64::from(self.row_count) * u64::from(self.cols)
    }

    /// Bytes that a kernel may touch.
    pub fn bytes(&self) -> u64 {
        u64::from(self.row_count) * self.row_bytes()
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        match self.element {
            Element::U32 => 4 * u64::from(self.cols),
            Element::Float(dtype) => dtype.row_bytes(self.cols),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kinds_place_in_the_list_is_its_number() {
        assert!(TensorKind::ALL.iter().enumerate().all(|(i, &kind)| kind as usize == i));
    }
}
