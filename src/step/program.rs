//! The program of a step: tensors, and blocks of operations that run chunk by chunk. It is a pure description; the [`Plan`](super::Plan)
//! decides allocations and final chunk lengths.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

use super::batch::BatchShape;
use super::chunk::{Chunk, ChunkOrder};
use super::message::Batches;
use super::objective::Objective;
use super::ops::{Op, OpKind, Operand, RowSlice, Sizes};
use super::sampling::RollOutShape;
use super::share::Share;
use super::strategy::Strategy;
use super::tensor::{Element, Precision, Rows, Tensor, TensorId, TensorKind};
use crate::model::{ActivationDtype, Config, Dtype, ModelSpec, ParameterId, Parameters};

/// The passes of a step, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// Sets gradients and metrics to zero.
    Clear,
    /// From token ids to the last hidden state.
    Forward,
    /// From the last hidden state to the loss, and back to the gradient of the hidden state, in place.
    Loss,
    /// Back-propagation from the last layer to the embedding.
    Backward,
    /// Gradient clipping and AdamW.
    Update,
    /// Sampling of completions, which later steps learn from.
    RollOut,
}

impl Pass {
    /// The passes that compute the gradients of a batch.
    pub const GRADIENTS: RangeInclusive<Pass> = Pass::Clear..=Pass::Backward;
    /// The passes of a whole step on one batch.
    pub const STEP: RangeInclusive<Pass> = Pass::Clear..=Pass::Update;

    /// The name in JSON and on the page.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Clear => "clear",
            Pass::Forward => "forward",
            Pass::Loss => "loss",
            Pass::Backward => "backward",
            Pass::Update => "update",
            Pass::RollOut => "roll-out",
        }
    }
}

/// An operation in a block.
#[derive(Clone, Debug)]
pub struct Node {
    /// The layer that it belongs to, if any.
    pub layer: Option<u32>,
    /// The operation.
    pub op: Op,
    /// Does it begin a run? It may take memory that earlier operations free.
    pub begins_run: bool,
    /// Does it leave out token tiles without a label? Nobody needs what it would compute for them.
    pub labelled_only: bool,
}

/// The first operations of a block, which run some chunks ahead of the others. When the others run for a chunk, the results that they need
/// from later chunks are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookahead {
    /// The number of operations.
    pub nodes: usize,
    /// The number of chunks ahead; fewer than the block has.
    pub chunks: u32,
}

/// Operations that all run for one chunk before the next chunk begins, lookahead aside.
#[derive(Clone, Debug)]
pub struct Block {
    /// The pass.
    pub pass: Pass,
    /// The layers that it goes through: one, a group, or none.
    pub layers: Range<u32>,
    /// A human-readable title.
    pub title: &'static str,
    /// The order in which it goes through the chunks.
    pub chunk_order: ChunkOrder,
    /// The batches of a step for which it runs.
    pub batches: Batches,
    /// The operations that run ahead.
    pub lookahead: Lookahead,
    /// The operations for every chunk.
    pub nodes: Vec<Node>,
}

/// Tensors that the host fills or reads, and tables that kernels share.
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
    /// Token positions sorted by token id, within an id from last to first (N); those of the padding token are left out.
    pub token_order: TensorId,
    /// The start of each id's run in `token_order`, and the end of the last one (V+1).
    pub token_start: TensorId,
    /// Cosines and sines of the rotary embedding, a row of E/2 pairs for each of the positions 0 to 63, then for each multiple of 64
    /// (`(64 + ⌈T/64⌉)×E`).
    pub rope_table: TensorId,
    /// The same for layers with a sliding window; it is the same tensor unless their rotary embedding differs.
    pub local_rope_table: TensorId,
    /// The log-probability of every label (N); 0 where it is ignored.
    pub log_probs: TensorId,
    /// `[loss, grad_norm, gradient scale, 1 if the gradient is not finite]`.
    pub metrics: TensorId,
    /// The hyperparameters of the step: [`AdamWParams`](super::update::AdamWParams) (8).
    pub adamw_params: TensorId,
    /// The uniforms of every operation, a slot of 256 bytes each.
    pub op_params: TensorId,
    /// The uniforms of every chunk, a slot of 256 bytes each. Blocks with chunks of the same length share them.
    pub chunks: TensorId,
    /// What an objective of pairs reads and writes.
    pub pairs: Option<PairBindings>,
    /// What an objective of sampled completions reads and writes.
    pub samples: Option<SampleBindings>,
    /// What sampling reads and writes.
    pub roll_out: Option<RollOutBindings>,
    /// The buffer into which `metrics` is copied for reading (4).
    pub read_back: TensorId,
    /// Staging buffers for chunks in flight to the host (C×D each).
    pub staging: Vec<TensorId>,
    /// A staging buffer for what goes to other ranks, if there are any.
    pub exchange: Option<TensorId>,
    /// The next batch of the step, if its forward pass begins while this one waits for other ranks.
    pub next: Option<NextBindings>,
}

/// What the first layers are told of the next batch of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBindings {
    /// Token ids (N).
    pub input_ids: TensorId,
    /// The first token of each token's sequence (N).
    pub segment_start: TensorId,
}

/// Tensors of an objective of P pairs of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairBindings {
    /// The first token of each sequence, and the end of the last (2P+1).
    pub sequence_start: TensorId,
    /// The log-probability of every label by the reference (N).
    pub ref_log_probs: TensorId,
    /// Of each sequence: the log-probability of its labels, and the same less that by the reference (2P×2).
    pub sequence_log_probs: TensorId,
}

/// Tensors of an objective of B sampled completions, each with an advantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleBindings {
    /// The first token of each sequence, and the end of the last (B+1).
    pub sequence_start: TensorId,
    /// Of each sequence (B).
    pub advantages: TensorId,
    /// The log-probability of every label by the model that sampled it (N), if that is another one.
    pub old_log_probs: Option<TensorId>,
    /// The log-probability of every label by the reference (N), if there is one.
    pub ref_log_probs: Option<TensorId>,
    /// Of each sequence, what [`Grpo`](super::ops::Grpo) finds (B×4).
    pub sequence_metrics: TensorId,
}

/// What sampling of completions has room for, and its tensors. Its tokens are numbered apart from those of the batch: first the prompt, then,
/// from [`RollOutShape::first_token`] on, a token of each completion after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollOutBindings {
    /// What it has room for.
    pub shape: RollOutShape,
    /// Token ids of the prompt, then of completions: the host writes the former, sampling the latter.
    pub input_ids: TensorId,
    /// What is subtracted from the number of a token to give its position.
    pub origins: TensorId,
    /// The log-probability of each sampled token by the model, before temperature, top-k and top-p.
    pub log_probs: TensorId,
    /// How to sample: [`Sampling`](super::roll_out::Sampling) (16).
    pub sampling: TensorId,
}

/// A slice of consecutive rows of a parameter, with its own tensors for values, gradient and moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSlice {
    /// The first row, in the parameter.
    pub first_row: u32,
    /// The number of rows.
    pub rows: u32,
    /// The values.
    pub value: TensorId,
    /// The gradient; `None` if the parameter is frozen or the program only generates.
    pub gradient: Option<TensorId>,
    /// AdamW's first and second moment; `None` if the parameter is frozen or the program has no update.
    pub moments: Option<[TensorId; 2]>,
}

impl ParameterSlice {
    /// Its rows, in the parameter.
    pub fn parameter_rows(&self) -> Range<u32> {
        self.first_row..self.first_row + self.rows
    }

    /// All of its rows, each with the output column that is its row number in the parameter.
    pub fn whole(&self) -> RowSlice {
        RowSlice { row: 0, col: self.first_row, rows: self.rows }
    }

    /// Its rows among the `count` rows of the parameter from `first` on, with output columns counted from `first`. `None` if there are
    /// none.
    pub fn within(&self, first: u32, count: u32) -> Option<RowSlice> {
        let rows = self.parameter_rows();
        let (start, end) = (rows.start.max(first), rows.end.min(first + count));
        (start < end).then(|| RowSlice { row: start - self.first_row, col: start - first, rows: end - start })
    }
}

/// One training step, or one step of generation, as data.
#[derive(Clone, Debug)]
pub struct Program {
    /// The model, and which of its parameters are trainable.
    pub spec: ModelSpec,
    /// The parameters of the model.
    pub parameters: Parameters,
    /// The shape of the batch that the program is planned for. A batch that runs must have as many tokens and no longer sequence.
    pub batch: BatchShape,
    /// Chunk lengths, and which activations are saved.
    pub strategy: Strategy,
    /// What the step minimises.
    pub objective: Objective,
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// All operations, in blocks.
    pub blocks: Vec<Block>,
    /// Tensors that the host fills or reads.
    pub bindings: Bindings,
    /// The slices of each parameter.
    pub(super) slices: Vec<Vec<ParameterSlice>>,
}

impl Block {
    /// Runs of adjacent operations that may share a dispatch, by the operations alone: which of them a device fuses is up to it. All that
    /// they touch is alive during the whole run, so no two of its tensors share memory. Lookahead operations run for another chunk than the
    /// rest, and have runs of their own.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Run> = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let begins = node.begins_run || i == self.lookahead.nodes;
            match runs.last_mut().filter(|run| !begins && run.takes(&self.nodes, &node.op)) {
                Some(run) => run.add(&node.op),
                None => runs.push(Run::of(i, &node.op)),
            }
        }
        runs.into_iter().map(|run| run.nodes).collect()
    }
}

/// A run of operations that is being collected.
struct Run {
    /// Their indices.
    nodes: Range<usize>,
    /// The kind of all of them, as long as they are of one kind.
    kind: Option<OpKind>,
    /// What they write, and what they touch.
    written: HashSet<TensorId>,
    touched: HashSet<TensorId>,
}

impl Run {
    fn of(node: usize, op: &Op) -> Run {
        let mut run = Run { nodes: node..node, kind: Some(op.kind()), written: HashSet::new(), touched: HashSet::new() };
        run.add(op);
        run
    }

    fn add(&mut self, op: &Op) {
        self.nodes.end += 1;
        self.kind = self.kind.filter(|&kind| kind == op.kind());
        self.written.extend(op.written());
        self.touched.extend(op.operands().iter().map(|operand| operand.tensor));
    }

    /// May the operation share a dispatch with each one of the run? The gradients of a large model are thousands of operations of one kind,
    /// so those are not compared in pairs.
    fn takes(&self, nodes: &[Node], op: &Op) -> bool {
        let are_siblings = || self.kind == Some(op.kind()) && op.has_siblings();
        let is_apart = || {
            let touches = |operand: &Operand| self.written.contains(&operand.tensor);
            !op.operands().iter().any(touches) && op.written().all(|id| !self.touched.contains(&id))
        };
        (are_siblings() && (op.writes_own_part() || is_apart()))
            || nodes[self.nodes.clone()].iter().all(|other| other.op.fusion_with(op).is_some())
    }
}

impl Program {
    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.spec.config
    }

    /// N: tokens of the batch.
    pub fn tokens(&self) -> u32 {
        self.batch.tokens()
    }

    /// The tokens of this rank; all, if it is the only one.
    pub fn share(&self) -> Share {
        self.batch.share()
    }

    /// The tensor with that index.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// How precisely an operation reads or writes an operand. Where activations are bf16, a layer's output is rounded wherever it goes, also
    /// to the hidden state, which is f32 because its gradient overwrites it.
    pub fn precision(&self, op: &Op, id: TensorId) -> Precision {
        let tensor = self.tensor(id);
        let is_hidden_state =
            || tensor.kind == TensorKind::HiddenGradient && op.computes_activations() && op.written().any(|out| out == id);
        match (tensor.element, self.spec.activation_dtype) {
            (Element::Float(Dtype::Bf16), _) => Precision::Bf16,
            (_, ActivationDtype::Bf16) if is_hidden_state() => Precision::RoundedToBf16,
            _ => Precision::F32,
        }
    }

    /// All tensors with their indices.
    pub fn tensors(&self) -> impl Iterator<Item = (TensorId, &Tensor)> {
        self.tensors.iter().enumerate().map(|(i, tensor)| (TensorId(i as u32), tensor))
    }

    /// The slices of a parameter: one, unless the parameter exceeds a binding.
    pub fn slices(&self, id: ParameterId) -> &[ParameterSlice] {
        &self.slices[id.0]
    }

    /// The operation with index `node` in the block with index `block`.
    pub fn op(&self, block: usize, node: usize) -> &Op {
        &self.blocks[block].nodes[node].op
    }

    /// The sizes that the cost of an operation for a chunk depends on.
    pub fn sizes(&self, chunk: Chunk) -> Sizes<'_> {
        Sizes { config: self.config(), batch: &self.batch, tensors: &self.tensors, chunk }
    }

    /// The number of operations, each counted once, however many chunks it runs for.
    pub fn node_count(&self) -> usize {
        self.blocks.iter().map(|block| block.nodes.len()).sum()
    }

    /// The distinct chunk lengths of all blocks on tokens of the batch, in tokens, ascending. Blocks with chunks of the same length share
    /// uniform slots.
    pub fn chunk_lengths(&self) -> Vec<u32> {
        let share = self.share();
        let orders = self.blocks.iter().map(|block| block.chunk_order).filter(|order| order.is_of_batch());
        let mut lengths: Vec<u32> = orders.map(|order| order.chunk_len(share)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    /// Has it blocks on other tokens than those of the batch? They share a uniform slot, which is written for each chunk.
    pub fn has_blocks_apart(&self) -> bool {
        self.blocks.iter().any(|block| !block.chunk_order.is_of_batch())
    }

    /// The blocks of a pass, with their indices.
    pub fn pass(&self, pass: Pass) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate().filter(move |(_, block)| block.pass == pass)
    }

    /// Sets the chunk length of every block, in tokens. Blocks that take all tokens at once keep doing so.
    pub(super) fn set_chunk_lengths(&mut self, lengths: &[u32]) {
        for (block, &longer) in self.blocks.iter_mut().zip(lengths) {
            if let ChunkOrder::Ascending(length) | ChunkOrder::Descending(length) = &mut block.chunk_order {
                *length = longer;
            }
        }
        self.size_chunks();
    }

    /// Sets the row counts that depend on chunk lengths: a tensor with a chunk's rows gets the longest chunk of the blocks that touch it,
    /// and the table of chunks gets a row for each chunk.
    pub(super) fn size_chunks(&mut self) {
        let share = self.share();
        let mut lengths = vec![0; self.tensors.len()];
        for block in &self.blocks {
            let length = block.chunk_order.chunk_len(share);
            let operands = block.nodes.iter().flat_map(|node| node.op.operands());
            operands.for_each(|operand| lengths[operand.tensor.0 as usize] = length.max(lengths[operand.tensor.0 as usize]));
        }
        for (tensor, length) in self.tensors.iter_mut().zip(lengths).filter(|(tensor, _)| tensor.rows == Rows::Chunk) {
            tensor.row_count = length;
        }
        let chunks: u32 = self.chunk_lengths().into_iter().map(|length| share.tokens().div_ceil(length)).sum();
        let (table, apart) = (self.bindings.chunks, u32::from(self.has_blocks_apart()));
        self.tensors[table.0 as usize].set_rows(chunks + apart);
    }
}
