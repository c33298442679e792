//! The program of a step: tensors, and blocks of operations that run chunk by chunk. It is a pure description: where tensors lie, and how
//! long chunks become, is a matter of the [`Plan`](super::Plan).

use std::ops::{Range, RangeInclusive};

use super::batch::BatchShape;
use super::chunk::{Chunk, ChunkOrder};
use super::ops::{Op, RowSlice, Sizes};
use super::strategy::Strategy;
use super::tensor::{Rows, Tensor, TensorId};
use crate::model::{Config, ModelSpec, ParameterId, Parameters};

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

/// An operation in its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The layer it belongs to.
    pub layer: Option<u32>,
    /// What is done.
    pub op: Op,
}

/// The first operations of a block, done so many chunks ahead of the others: when these come to a chunk, what they need of chunks that
/// come later is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookahead {
    /// How many operations.
    pub nodes: usize,
    /// How many chunks ahead; fewer than the block has.
    pub chunks: u32,
}

/// Operations that are all done for one chunk before the next chunk begins.
#[derive(Clone, Debug)]
pub struct Block {
    /// The part of the step.
    pub pass: Pass,
    /// The layer, where the block has one.
    pub layer: Option<u32>,
    /// What the block does, for people.
    pub title: &'static str,
    /// How it goes through the tokens.
    pub chunk_order: ChunkOrder,
    /// What of it is done ahead.
    pub lookahead: Lookahead,
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
    /// What changes from step to step: see [`super::update::AdamWParams`].
    pub adamw_params: TensorId,
    /// A uniform slot for every operation.
    pub op_params: TensorId,
    /// A uniform slot for every chunk of every block; blocks with chunks of one length share them.
    pub chunks: TensorId,
    /// Where `metrics` is copied to be read.
    pub read_back: TensorId,
    /// Where chunks are copied on their way to the host.
    pub staging: Vec<TensorId>,
}

/// Some rows of a parameter, with the tensors of their own that hold their values and what belongs to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSlice {
    /// The first of the rows.
    pub first_row: u32,
    /// How many there are.
    pub rows: u32,
    /// Their values.
    pub value: TensorId,
    /// Their gradient: none if the parameter is frozen, or if the program only generates.
    pub gradient: Option<TensorId>,
    /// AdamW's first and second moment: none if the parameter is frozen, or if the program does not update.
    pub moments: Option<[TensorId; 2]>,
}

impl ParameterSlice {
    /// Its rows, as the parameter numbers them.
    pub fn parameter_rows(&self) -> Range<u32> {
        self.first_row..self.first_row + self.rows
    }

    /// All of its rows, each for the column that its place in the parameter stands for.
    pub fn whole(&self) -> RowSlice {
        RowSlice { row: 0, col: self.first_row, rows: self.rows }
    }

    /// Those of its rows that lie in a run of the parameter's, with what they yield counted from the run's start.
    pub fn within(&self, first: u32, count: u32) -> Option<RowSlice> {
        let rows = self.parameter_rows();
        let (start, end) = (rows.start.max(first), rows.end.min(first + count));
        (start < end).then(|| RowSlice { row: start - self.first_row, col: start - first, rows: end - start })
    }
}

/// One step of training (or of generation) as data.
#[derive(Clone, Debug)]
pub struct Program {
    /// The model, and what of it is trained.
    pub spec: ModelSpec,
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
    /// For each parameter, its slices.
    pub(super) slices: Vec<Vec<ParameterSlice>>,
}

impl Program {
    /// The model's sizes.
    pub fn config(&self) -> &Config {
        &self.spec.config
    }

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

    /// A parameter's slices: one, unless no binding can hold all of its rows.
    pub fn slices(&self, id: ParameterId) -> &[ParameterSlice] {
        &self.slices[id.0]
    }

    /// The operation at a place: of a block, and in it.
    pub fn op(&self, block: usize, node: usize) -> &Op {
        &self.blocks[block].nodes[node].op
    }

    /// What the cost of operations for a chunk depends on.
    pub fn sizes(&self, chunk: Chunk) -> Sizes<'_> {
        Sizes { config: self.config(), batch: &self.batch, tensors: &self.tensors, chunk }
    }

    /// Operations of the program, each counted once however many chunks it runs for.
    pub fn node_count(&self) -> usize {
        self.blocks.iter().map(|block| block.nodes.len()).sum()
    }

    /// Lengths of the chunks of all blocks, each once: blocks with chunks of one length share the slots of their chunks.
    pub fn chunk_lengths(&self) -> Vec<u32> {
        let tokens = self.tokens();
        let mut lengths: Vec<u32> = self.blocks.iter().map(|block| block.chunk_order.chunk_len(tokens)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// Blocks of a pass, with their places.
    pub fn pass(&self, pass: Pass) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate().filter(move |(_, block)| block.pass == pass)
    }

    /// Gives every block chunks of that length, where it has chunks.
    pub(super) fn set_chunk_lengths(&mut self, lengths: &[u32]) {
        for (block, &longer) in self.blocks.iter_mut().zip(lengths) {
            if let ChunkOrder::Ascending(length) | ChunkOrder::Descending(length) = &mut block.chunk_order {
                *length = longer;
            }
        }
        self.size_chunks();
    }

    /// Gives tensors that hold a chunk's rows as many as the longest chunk of the blocks that touch them, and the table of chunks a row
    /// for each chunk.
    pub(super) fn size_chunks(&mut self) {
        let tokens = self.tokens();
        let mut lengths = vec![0; self.tensors.len()];
        for block in &self.blocks {
            let length = block.chunk_order.chunk_len(tokens);
            let operands = block.nodes.iter().flat_map(|node| node.op.operands());
            operands.for_each(|operand| lengths[operand.tensor.0 as usize] = length.max(lengths[operand.tensor.0 as usize]));
        }
        for (tensor, length) in self.tensors.iter_mut().zip(lengths).filter(|(tensor, _)| tensor.rows == Rows::Chunk) {
            tensor.row_count = length;
        }
        let chunks = self.chunk_lengths().into_iter().map(|length| tokens.div_ceil(length)).sum();
        let table = self.bindings.chunks;
        self.tensors[table.0 as usize].set_rows(chunks);
    }
}
