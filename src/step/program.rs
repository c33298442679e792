//! The program of a step: tensors, and blocks of operations that are walked chunk by chunk.

use std::ops::{Range, RangeInclusive};

use super::{BatchShape, Op, Slice, Strategy, TensorId, tensor::Tensor};
use crate::model::{Config, ParameterId, Parameters};

/// The parts of a step, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// Gradients and metrics are set to zero.
    Clear,
    /// Token ids to the last hidden state.
    Forward,
    /// The last hidden state to the loss, and its gradient in the same place.
    Loss,
    /// The gradient from the last layer to the embedding.
    Backward,
    /// Clipping and AdamW.
    Update,
}

impl Pass {
    /// What it takes to have a batch's gradients.
    pub const GRADIENTS: RangeInclusive<Pass> = Pass::Clear..=Pass::Backward;
    /// A whole step on one batch.
    pub const STEP: RangeInclusive<Pass> = Pass::Clear..=Pass::Update;

    /// The name in JSON and on the page.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Clear => "clear",
            Pass::Forward => "forward",
            Pass::Loss => "loss",
            Pass::Backward => "backward",
            Pass::Update => "update",
        }
    }
}

/// How a block goes through the tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Walk {
    /// Once, over all of them.
    Once,
    /// In chunks of that length, first to last.
    Ascending(u32),
    /// In chunks of that length, last to first.
    Descending(u32),
}

/// A run of tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Its place along the batch.
    pub index: u32,
    /// Its first token.
    pub start: u32,
    /// Its tokens.
    pub count: u32,
}

impl Chunk {
    /// One behind its last token.
    pub fn end(&self) -> u32 {
        self.start + self.count
    }
}

impl Walk {
    /// Tokens of a chunk.
    pub fn chunk_len(self, tokens: u32) -> u32 {
        match self {
            Walk::Once => tokens,
            Walk::Ascending(len) | Walk::Descending(len) => len,
        }
    }

    /// Chunks of the walk.
    pub fn chunk_count(self, tokens: u32) -> u32 {
        tokens.div_ceil(self.chunk_len(tokens))
    }

    /// The chunks, in the order of the walk.
    pub fn chunks(self, tokens: u32) -> impl Iterator<Item = Chunk> {
        (0..self.chunk_count(tokens)).map(move |order| self.chunk(order, tokens))
    }

    /// The chunk before which so many others come in the walk.
    pub(super) fn chunk(self, order: u32, tokens: u32) -> Chunk {
        let (len, index) = (self.chunk_len(tokens), self.order(order, tokens));
        Chunk { index, start: index * len, count: len.min(tokens - index * len) }
    }

    /// How many chunks of the walk come before the chunk of that index; the other way round, the index of the chunk before
    /// which so many come.
    pub fn order(self, index: u32, tokens: u32) -> u32 {
        if matches!(self, Walk::Descending(_)) { self.chunk_count(tokens) - 1 - index } else { index }
    }
}

/// An operation in its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The layer it belongs to.
    pub layer: Option<u32>,
    /// What is done.
    pub op: Op,
}

/// The first operations of a block, done so many chunks ahead of the others: when these come to a chunk, what they need of later chunks
/// of the walk is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    /// How many operations.
    pub nodes: usize,
    /// How many chunks ahead; fewer than the walk has.
    pub chunks: u32,
}

/// Operations that are all done for one chunk before the next chunk has its turn.
#[derive(Clone, Debug)]
pub struct Block {
    /// The part of the step.
    pub pass: Pass,
    /// The layer, where the block has one.
    pub layer: Option<u32>,
    /// What the block does, for people.
    pub title: &'static str,
    /// How it goes through the tokens.
    pub walk: Walk,
    /// What of it is done ahead.
    pub lead: Lead,
    /// What is done for every chunk.
    pub nodes: Vec<Node>,
}

/// Tensors that hosts fill or read, and the tables that kernels share.
#[derive(Clone, Debug)]
pub struct Bindings {
    /// Token ids (N).
    pub input_ids: TensorId,
    /// The token to predict at each position, or [`IGNORED_LABEL`](super::IGNORED_LABEL) (N).
    pub labels: TensorId,
    /// The first token of each token's sequence (N).
    pub segment_start: TensorId,
    /// -∂loss/∂log_prob of every token (N).
    pub loss_weight: TensorId,
    /// Token positions sorted by token id, within an id from last to first (N).
    pub token_order: TensorId,
    /// Where each id's run in `token_order` starts, and where the last one ends (V+1).
    pub token_start: TensorId,
    /// Cosines and sines of the rotary embedding: a row of E/2 pairs for each of the positions 0 to 63, then for each
    /// multiple of 64.
    pub rope_table: TensorId,
    /// The same for layers with a window; often it is the same tensor.
    pub local_rope_table: TensorId,
    /// The log-probability of every label (N); 0 where it is ignored.
    pub log_probs: TensorId,
    /// `[loss, grad_norm, gradient scale, 1 if the gradient is not finite]`.
    pub metrics: TensorId,
    /// What changes from step to step: see [`super::update::Settings`].
    pub settings: TensorId,
    /// A uniform slot for every operation.
    pub op_params: TensorId,
    /// A uniform slot for every chunk of every walk.
    pub chunks: TensorId,
    /// Where `metrics` is copied to be read.
    pub read_back: TensorId,
    /// Where chunks are copied on their way to the host.
    pub staging: Vec<TensorId>,
}

/// Some rows of a parameter (or of what lies like it), in a tensor of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The tensor.
    pub tensor: TensorId,
    /// The first of the rows.
    pub first_row: u32,
    /// How many there are.
    pub rows: u32,
}

impl Part {
    /// Its rows, as the parameter numbers them.
    pub fn parameter_rows(&self) -> Range<u32> {
        self.first_row..self.first_row + self.rows
    }

    /// All of its rows, each for the column that its place in the parameter stands for.
    pub fn whole(&self) -> Slice {
        Slice { row: 0, col: self.first_row, rows: self.rows }
    }

    /// Those of its rows that lie in a run of the parameter's, with what they yield counted from the run's start.
    pub fn within(&self, first: u32, count: u32) -> Option<Slice> {
        let rows = self.parameter_rows();
        let (start, end) = (rows.start.max(first), rows.end.min(first + count));
        (start < end).then(|| Slice { row: start - self.first_row, col: start - first, rows: end - start })
    }
}

/// One step of training (or of generation) as data.
#[derive(Clone, Debug)]
pub struct Program {
    /// The model.
    pub config: Config,
    /// Its parameters.
    pub parameters: Parameters,
    /// The batch that it is planned for: those that run have as many tokens, and no longer sequence.
    pub batch: BatchShape,
    /// How the grid of layers × chunks is walked.
    pub strategy: Strategy,
    /// Every tensor.
    pub tensors: Vec<Tensor>,
    /// Every operation, in blocks.
    pub blocks: Vec<Block>,
    /// Tensors that hosts fill or read.
    pub bindings: Bindings,
    pub(super) weights: Vec<Vec<Part>>,
    pub(super) gradients: Vec<Vec<Part>>,
    pub(super) moments: Vec<[Vec<Part>; 2]>,
}

impl Program {
    /// N: tokens of the batch.
    pub fn tokens(&self) -> u32 {
        self.batch.tokens()
    }

    /// The tensor with that place.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// Every tensor with its place.
    pub fn tensors(&self) -> impl Iterator<Item = (TensorId, &Tensor)> {
        self.tensors.iter().enumerate().map(|(i, tensor)| (TensorId(i as u32), tensor))
    }

    /// A parameter's values.
    pub fn weight(&self, id: ParameterId) -> &[Part] {
        &self.weights[id.0]
    }

    /// A parameter's gradient: nothing if it does not learn, or if the program only generates.
    pub fn gradient(&self, id: ParameterId) -> &[Part] {
        self.gradients.get(id.0).map_or(&[], Vec::as_slice)
    }

    /// AdamW's first and second moment of a parameter: nothing if it does not learn, or if the program does not update.
    pub fn moment(&self, id: ParameterId, which: usize) -> &[Part] {
        self.moments.get(id.0).map_or(&[], |both| both[which].as_slice())
    }

    /// Operations of the program, each counted once however many chunks it is walked for.
    pub fn node_count(&self) -> usize {
        self.blocks.iter().map(|block| block.nodes.len()).sum()
    }

    /// Lengths of the chunks of all walks, each once: equal walks share the slots of their chunks.
    pub fn chunk_lengths(&self) -> Vec<u32> {
        let tokens = self.tokens();
        let mut lengths: Vec<u32> = self.blocks.iter().map(|b| b.walk.chunk_len(tokens)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// Blocks of a pass, with their places.
    pub fn pass(&self, pass: Pass) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate().filter(move |(_, block)| block.pass == pass)
    }
}
