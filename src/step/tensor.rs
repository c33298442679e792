//! The tensors of a step: name, shape, purpose and storage.

use super::chunk::Chunk;
use crate::model::Dtype;

/// Tokens of a tile. Sums over tokens are split at tile boundaries and nowhere else, so every chunk is a whole number of tiles.
///
/// 64 elements of four bytes are 256 bytes, the offset alignment that WebGPU guarantees.
pub const TOKEN_TILE: u32 = 64;

/// The offset alignment of bindings in bytes that every WebGPU adapter supports (`minStorageBufferOffsetAlignment` is at most this).
pub const BINDING_ALIGNMENT: u64 = 256;

/// Token ids of a tile. Sums over the vocabulary are split at tile boundaries and where a tensor ends, so every range of logits is a whole
/// number of tiles.
pub const VOCAB_TILE: u32 = 1024;

/// Columns, vocabulary entries or keys that a sum adds up on their own, before it adds the result to the rest: a divisor of [`VOCAB_TILE`].
/// The rounding error of a sum grows with the number of additions that a term passes through.
pub const SUM_BLOCK: u32 = 1024;

/// The index of a tensor in [`Program::tensors`](super::Program::tensors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);

/// The category of a tensor in memory statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorKind {
    /// Parameters.
    Weights,
    /// Gradients of parameters.
    Gradients,
    /// AdamW's moments.
    Optimizer,
    /// Token ids, labels, loss weights, and log-probabilities.
    Batch,
    /// Uniforms, tables, partial sums, read-back and staging buffers.
    Scratch,
    /// Layer inputs, saved from the forward to the backward pass.
    LayerInputs,
    /// The gradient of the hidden state (before the loss: the last hidden state itself).
    HiddenGradient,
    /// Keys and values of a layer.
    KeysValues,
    /// Gradients of keys and values of a layer.
    KeysValuesGradients,
    /// Everything else inside a layer or the final norm.
    Activations,
    /// Logits, and their gradient, which overwrites them.
    Logits,
}

impl TensorKind {
    /// All kinds, in the order in which charts stack them.
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

/// What the rows of a tensor stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// A fixed number of rows that are not tokens.
    Fixed(u32),
    /// A row for every token of the batch, or of a part of it; row i is token `first_token + i` (see [`Tensor::first_token`]).
    Tokens,
    /// A ring of that many rows, a whole number of chunks. Token i has row `i mod` that number, where it overwrites a token that is outside
    /// the window.
    Ring(u32),
    /// A row for every token of a chunk; row i is token `chunk.start + i`.
    Chunk,
}

impl Rows {
    /// The row modulus of a tensor of all tokens: longer than any batch.
    pub const ALL: u32 = (1 << 31) - 1;
    /// A bit of the row modulus of tensors whose rows are counted from this rank's first token.
    pub const OF_SHARE: u32 = 1 << 31;

    /// The row modulus: the chunk's first row is `chunk.start mod` this. `None` if the rows are not tokens.
    pub fn row_modulus(self) -> Option<u32> {
        match self {
            Rows::Fixed(_) => None,
            Rows::Tokens => Some(Rows::ALL),
            Rows::Ring(tokens) => Some(tokens),
            // Wherever a chunk starts, its first row is row 0.
            Rows::Chunk => Some(1),
        }
    }

    /// The row of a token while that chunk is processed.
    ///
    /// # Panics
    /// If the rows are not tokens.
    pub fn row_of(self, token: u32, chunk: Chunk) -> u32 {
        match self {
            Rows::Fixed(_) => panic!("the rows are no tokens"),
            Rows::Tokens => token,
            Rows::Ring(tokens) => token % tokens,
            Rows::Chunk => token - chunk.start,
        }
    }
}

/// The memory of a tensor, which determines its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A storage buffer of its own, for the lifetime of the executor. The host and kernels read and write it.
    Own,
    /// A uniform buffer of its own.
    Uniform,
    /// A buffer of its own that the host maps for reading.
    ReadBack,
    /// A range of the arena, shared with tensors whose live ranges do not overlap.
    Arena,
    /// Host memory, which no kernel can access.
    Host,
}

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A float of the stored dtype.
    Float(Dtype),
    /// An index or a length.
    U32,
}

/// How precisely an operation reads or writes the floats of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As f32.
    F32,
    /// As bf16: what is stored is rounded to the nearest, of two to the even one.
    Bf16,
    /// As f32, but rounded as bf16 when it is stored.
    RoundedToBf16,
}

impl Element {
    /// Single precision.
    pub const F32: Element = Element::Float(Dtype::F32);
}

/// One tensor of a step, a matrix in row-major order.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name. A recomputed tensor has the name of the original.
    pub name: String,
    /// Its category.
    pub kind: TensorKind,
    /// Its layer, if it has one.
    pub layer: Option<u32>,
    /// What its rows stand for.
    pub rows: Rows,
    /// The number of rows that are allocated.
    pub row_count: u32,
    /// Elements of a row, padding included; a multiple of four where kernels read vectors of four.
    pub cols: u32,
    /// Its element type.
    pub element: Element,
    /// Its memory.
    pub storage: Storage,
    /// The token of row 0, if rows are tokens: 0, or the first token of this rank.
    pub first_token: u32,
    /// Rows of a piece. A tensor of tokens that no binding of the device can hold lies in several pieces, each with memory of its own; row i is
    /// in piece `i / piece_rows`. [`Tensor::WHOLE`] for all others.
    pub piece_rows: u32,
}

impl Tensor {
    /// The rows of a piece of a tensor that has only one.
    pub const WHOLE: u32 = u32::MAX;

    /// A tensor of no layer, in one piece.
    pub(super) fn new(
        name: impl Into<String>,
        kind: TensorKind,
        (rows, row_count): (Rows, u32),
        cols: u32,
        element: Element,
        storage: Storage,
    ) -> Tensor {
        Tensor { name: name.into(), kind, layer: None, rows, row_count, cols, element, storage, first_token: 0, piece_rows: Tensor::WHOLE }
    }

    /// The number of pieces.
    pub fn pieces(&self) -> u32 {
        self.row_count.div_ceil(self.piece_rows).max(1)
    }

    /// Is it in several pieces?
    pub fn is_in_pieces(&self) -> bool {
        self.piece_rows != Tensor::WHOLE
    }

    /// The size of a piece in bytes, without alignment at the end.
    pub fn piece_bytes(&self, piece: u32) -> u64 {
        let first = u64::from(piece) * u64::from(self.piece_rows);
        (u64::from(self.row_count) - first).min(self.piece_rows.into()) * self.row_bytes()
    }

    /// The row modulus for kernels, which have a piece at a time: [`Rows::row_modulus`], or the rows of a piece.
    pub fn row_modulus(&self) -> Option<u32> {
        let modulus = self.rows.row_modulus().map(|modulus| if self.is_in_pieces() { self.piece_rows } else { modulus })?;
        Some(if self.first_token > 0 { modulus | Rows::OF_SHARE } else { modulus })
    }

    /// The row of a token while that chunk is processed.
    ///
    /// # Panics
    /// If the rows are not tokens.
    pub fn row_of(&self, token: u32, chunk: Chunk) -> u32 {
        self.rows.row_of(token, chunk) - self.first_token
    }

    /// Sets the number of rows of a tensor whose rows are not tokens.
    pub(super) fn set_rows(&mut self, count: u32) {
        (self.rows, self.row_count) = (Rows::Fixed(count), count);
    }

    /// The number of elements, padding included.
    pub fn elements(&self) -> u64 {
        u64::from(self.row_count) * u64::from(self.cols)
    }

    /// The size in bytes, without alignment at the end.
    pub fn bytes(&self) -> u64 {
        u64::from(self.row_count) * self.row_bytes()
    }

    /// The values of whole rows, from bytes in the device's layout.
    pub fn decode(&self, bytes: &[u8]) -> Vec<f32> {
        match self.element {
            Element::Float(dtype) => dtype.decode(bytes, self.cols),
            Element::U32 => bytemuck::pod_collect_to_vec::<u8, u32>(bytes).into_iter().map(|value| value as f32).collect(),
        }
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
    fn a_kinds_index_in_the_list_is_its_number() {
        assert!(TensorKind::ALL.iter().enumerate().all(|(i, &kind)| kind as usize == i));
    }
}
