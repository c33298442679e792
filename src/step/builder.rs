//! Writes a [`Program`] down, one operation after the other.

use super::batch::BatchShape;
use super::chunk::ChunkOrder;
use super::ops::{Op, RowSlice};
use super::program::{Bindings, Block, Lookahead, Node, ParameterSlice, Pass, Program};
use super::recompute::Recompute;
use super::saved_activations::SavedActivation;
use super::strategy::Strategy;
use super::tensor::{BINDING_ALIGNMENT, Element, Rows, Storage, TOKEN_TILE, Tensor, TensorId, TensorKind, VOCAB_TILE};
use crate::model::{Config, ModelSpec, Parameter, ParameterId, Parameters, Projection, Role};

/// A program that is being written.
pub struct Builder {
    /// What has been written so far.
    pub program: Program,
    layer: Option<u32>,
    pub(super) recompute: Recompute,
}

/// A projection's adapter.
pub(super) struct Adapter {
    /// The matrix that reads (rank×columns).
    pub a: Vec<ParameterSlice>,
    /// The matrix that writes (rows×rank).
    pub b: Vec<ParameterSlice>,
    /// Columns of what lies between the two, padding included.
    pub width: u32,
    /// What its share is multiplied by.
    pub scale: f64,
}

/// Partial sums of squares that each parameter gets.
pub(super) const SQUARE_SUM_PARTIALS: u32 = 256;
/// Chunks that are on their way to the host at once.
const STAGING: u32 = 2;

impl Builder {
    /// An empty program: only the batch's tensors and the parameters' values are there.
    pub fn new(spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Self {
        let spec = spec.into();
        let parameters = Parameters::new(&spec);
        let mut tensors = Vec::new();
        let bindings = batch_tensors(&spec.config, &batch, &mut tensors);
        let program = Program { spec, parameters, batch, strategy, tensors, blocks: Vec::new(), bindings, slices: Vec::new() };
        let mut builder = Builder { program, layer: None, recompute: Recompute::default() };
        builder.program.slices = builder.program.parameters.iter().map(|(_, parameter)| builder.slices_of(parameter)).collect();
        builder.add_to_slices("", TensorKind::Weights, |_| true, |slice, id| slice.value = id);
        builder
    }

    /// Gives every trainable parameter a gradient.
    pub(super) fn add_gradients(&mut self) {
        self.add_to_slices("d_", TensorKind::Gradients, |p| p.is_trainable, |slice, id| slice.gradient = Some(id));
    }

    /// Gives every trainable parameter AdamW's two moments.
    pub(super) fn add_moments(&mut self) {
        self.add_to_slices("moment1.", TensorKind::Optimizer, |p| p.is_trainable, |slice, id| slice.moments = Some([id; 2]));
        let second = |slice: &mut ParameterSlice, id| slice.moments = slice.moments.map(|[first, _]| [first, id]);
        self.add_to_slices("moment2.", TensorKind::Optimizer, |p| p.is_trainable, second);
    }

    /// The slices of a parameter, with so many of its rows each that a binding can hold them. They have no tensors yet.
    fn slices_of(&self, parameter: &Parameter) -> Vec<ParameterSlice> {
        let row_bytes = parameter.dtype.row_bytes(parameter.padded_cols());
        let most = rows_of_a_slice(self.program.spec.max_slice_bytes, row_bytes);
        let all = parameter.padded_rows();
        let slice = |first_row: u32| {
            let rows = most.min(all - first_row);
            ParameterSlice { first_row, rows, value: TensorId(u32::MAX), gradient: None, moments: None }
        };
        (0..all.div_ceil(most)).map(|i| slice(i * most)).collect()
    }

    /// Makes a tensor for each slice of the parameters that are wanted, and has it noted there.
    fn add_to_slices(
        &mut self,
        prefix: &str,
        kind: TensorKind,
        is_wanted: impl Fn(&Parameter) -> bool,
        note: impl Fn(&mut ParameterSlice, TensorId),
    ) {
        let Program { parameters, slices, tensors, .. } = &mut self.program;
        for ((_, parameter), slices) in parameters.iter().zip(slices).filter(|((_, parameter), _)| is_wanted(parameter)) {
            let has_several = slices.len() > 1;
            for slice in slices {
                let range = slice.parameter_rows();
                let number = if has_several { format!("[{}..{}]", range.start, range.end) } else { String::new() };
                let tensor = Tensor {
                    name: format!("{prefix}{}{number}", parameter.name),
                    kind,
                    layer: parameter.layer,
                    rows: Rows::Fixed(slice.rows),
                    row_count: slice.rows,
                    cols: parameter.padded_cols(),
                    element: Element::Float(parameter.dtype),
                    storage: Storage::Own,
                };
                note(slice, push(tensors, tensor));
            }
        }
    }

    fn push_tensor(&mut self, tensor: Tensor) -> TensorId {
        push(&mut self.program.tensors, tensor)
    }

    /// The model's sizes.
    pub(super) fn config(&self) -> &Config {
        self.program.config()
    }

    /// N.
    pub(super) fn tokens(&self) -> u32 {
        self.program.tokens()
    }

    /// A parameter's slices, by role, in the layer at hand.
    pub(super) fn slices(&self, role: Role) -> Vec<ParameterSlice> {
        self.program.slices(self.parameter(role)).to_vec()
    }

    /// A vector's values, by role, in the layer at hand.
    pub(super) fn vector(&self, role: Role) -> TensorId {
        self.program.slices(self.parameter(role))[0].value
    }

    /// A bias, if the projection has one.
    pub(super) fn bias(&self, projection: Projection) -> Option<TensorId> {
        let id = self.program.parameters.get_if_any(Role::Bias(projection), self.layer)?;
        Some(self.program.slices(id)[0].value)
    }

    /// A projection's adapter, if it has one.
    pub(super) fn adapter(&self, projection: Projection) -> Option<Adapter> {
        let lora = self.program.spec.adapters().filter(|lora| lora.targets.contains(&projection))?;
        Some(Adapter {
            a: self.slices(Role::LoraA(projection)),
            b: self.slices(Role::LoraB(projection)),
            width: lora.rank.next_multiple_of(4),
            scale: lora.scale(),
        })
    }

    /// The gradients of a parameter, by role, in the layer at hand, each with the rows of its slice. Nothing if it is frozen.
    pub(super) fn gradients(&self, role: Role) -> Vec<(TensorId, RowSlice)> {
        self.slices(role).iter().filter_map(|slice| Some((slice.gradient?, slice.whole()))).collect()
    }

    fn parameter(&self, role: Role) -> ParameterId {
        let layer = match role {
            Role::Embedding | Role::FinalNorm | Role::LmHead => None,
            _ => self.layer,
        };
        self.program.parameters.find(role, layer)
    }

    /// The layer at hand.
    pub(super) fn layer(&self) -> u32 {
        self.layer.expect("inside a layer")
    }

    /// C: tokens of a chunk in the layers.
    pub(super) fn chunk(&self) -> u32 {
        self.program.strategy.chunk(self.tokens())
    }

    fn saves(&self, saved_as: SavedActivation) -> bool {
        self.program.strategy.saves(saved_as, self.layer(), self.config().num_hidden_layers)
    }

    /// What the rows of keys and values are in the layer at hand: no more than its window needs, unless they are saved.
    pub(super) fn key_rows(&self) -> Rows {
        let window = self.config().window(self.layer()).filter(|_| !self.saves(SavedActivation::KeysValues));
        window.and_then(|window| self.program.strategy.ring(self.tokens(), window)).map_or(Rows::Tokens, Rows::Ring)
    }

    /// Something that the layer at hand computes on its way to its output: for all tokens if it is saved, else for a chunk.
    pub(super) fn activation(&mut self, saved_as: SavedActivation, name: &str, cols: u32) -> TensorId {
        let rows = if self.saves(saved_as) { Rows::Tokens } else { Rows::Chunk };
        self.of_layer(saved_as, name, TensorKind::Activations, rows, cols)
    }

    /// A tensor for one chunk that is never saved.
    pub(super) fn chunk_temporary(&mut self, name: &str, kind: TensorKind, cols: u32) -> TensorId {
        let id = self.tensor(name, kind, Rows::Chunk, cols);
        self.recompute.note(id, None);
        id
    }

    /// Something that the layer at hand computes on its way to its output. What is still there from before is found by its name.
    pub(super) fn of_layer(&mut self, saved_as: SavedActivation, name: &str, kind: TensorKind, rows: Rows, cols: u32) -> TensorId {
        let is_of_chunk = rows == Rows::Chunk;
        let full_name = format!("layers.{}.{name}", self.layer());
        if let Some(id) = self.recompute.find(&full_name).filter(|_| !is_of_chunk) {
            return id;
        }
        let id = self.tensor(name, kind, rows, cols);
        let outlives_the_block = self.saves(saved_as) || self.recompute.is_on();
        self.recompute.note(id, (outlives_the_block && !is_of_chunk).then_some(full_name));
        id
    }

    /// A tensor that shares the arena; its name gets the layer at hand in front.
    pub fn tensor(&mut self, name: &str, kind: TensorKind, rows: Rows, cols: u32) -> TensorId {
        let row_count = row_count(rows, self.tokens());
        let name = self.layer.map_or_else(|| name.to_owned(), |layer| format!("layers.{layer}.{name}"));
        self.push_tensor(Tensor { name, kind, layer: self.layer, rows, row_count, cols, element: Element::F32, storage: Storage::Arena })
    }

    /// Something for all tokens that waits on the host. The chunks on their way there need buffers that the host can read.
    pub(super) fn on_host(&mut self, name: &str, cols: u32) -> TensorId {
        let id = self.tensor(name, TensorKind::LayerInputs, Rows::Tokens, cols);
        self.program.tensors[id.0 as usize].storage = Storage::Host;
        if self.program.bindings.staging.is_empty() {
            self.program.bindings.staging = (0..STAGING).map(|i| self.staging_buffer(i)).collect();
        }
        id
    }

    /// A buffer that holds one chunk of a hidden state, and that the host can read.
    fn staging_buffer(&mut self, number: u32) -> TensorId {
        let (rows, cols) = (self.chunk(), self.config().hidden_size.next_multiple_of(4));
        self.push_tensor(Tensor {
            name: format!("staging.{number}"),
            kind: TensorKind::Scratch,
            layer: None,
            rows: Rows::Fixed(rows),
            row_count: rows,
            cols,
            element: Element::F32,
            storage: Storage::ReadBack,
        })
    }

    /// What the tensor holds is still there when the block is run again.
    pub(super) fn outlives_the_block(&mut self, id: TensorId) {
        self.program.tensors[id.0 as usize].storage = Storage::Own;
    }

    /// Everything inside is of that layer.
    pub(super) fn in_layer<T>(&mut self, layer: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.layer.replace(layer);
        let result = write(self);
        self.layer = outer;
        result
    }

    /// The operations inside are done for each chunk, in that order.
    pub fn block<T>(&mut self, pass: Pass, title: &'static str, chunk_order: ChunkOrder, write: impl FnOnce(&mut Self) -> T) -> T {
        self.program.blocks.push(Block { pass, layer: self.layer, title, chunk_order, lookahead: Lookahead::default(), nodes: Vec::new() });
        let result = write(self);
        self.recompute.eliminate_dead(&mut self.program);
        result
    }

    /// The operations inside, the first of the block at hand, are done that many chunks ahead of what follows.
    pub(super) fn ahead<T>(&mut self, chunks: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let result = write(self);
        self.recompute.eliminate_dead(&mut self.program);
        let nodes = self.nodes().len();
        if chunks > 0 && nodes > 0 {
            self.block_at_hand().lookahead = Lookahead { nodes, chunks };
        }
        result
    }

    /// The operations inside were done before, in the forward pass or for the sake of keys and values. What they yielded and is still there
    /// is not computed again, nor is what nobody in the block needs.
    pub(super) fn recompute<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.recompute.begin(self.nodes().len());
        let result = write(self);
        self.recompute.end(self.nodes().len());
        result
    }

    /// The next operation of the block at hand.
    pub fn push(&mut self, op: impl Into<Op>) {
        let op = op.into();
        if !self.recompute.is_done(&op) {
            let node = Node { layer: self.layer, op };
            self.block_at_hand().nodes.push(node);
        }
    }

    fn nodes(&self) -> &[Node] {
        &self.program.blocks.last().expect("operations stand in a block").nodes
    }

    fn block_at_hand(&mut self) -> &mut Block {
        self.program.blocks.last_mut().expect("operations stand in a block")
    }

    /// The program, with a uniform slot for each operation and each chunk.
    pub fn finish(mut self) -> Program {
        self.program.blocks.retain(|block| !block.nodes.is_empty());
        self.recompute.leave_out_unused(&mut self.program);
        self.program.blocks.iter().for_each(|block| self.check_lookahead(block));
        let (table, slots) = (self.program.bindings.op_params, self.program.node_count() as u32);
        self.program.tensors[table.0 as usize].set_rows(slots);
        self.program.size_chunks();
        self.program
    }

    /// What is done ahead is done for another chunk, so it shares no tensor of a chunk with the rest.
    fn check_lookahead(&self, block: &Block) {
        let (lookahead, rest) = block.nodes.split_at(block.lookahead.nodes);
        let [ahead, rest] = [lookahead, rest].map(|nodes| self.tensors_of_a_chunk(nodes));
        if let Some(&id) = rest.iter().find(|id| ahead.contains(id)) {
            panic!("{} is read for another chunk than it was written for", self.program.tensor(id).name);
        }
    }

    fn tensors_of_a_chunk(&self, nodes: &[Node]) -> Vec<TensorId> {
        let operands = nodes.iter().flat_map(|node| node.op.operands()).map(|operand| operand.tensor);
        operands.filter(|&id| self.program.tensor(id).rows == Rows::Chunk).collect()
    }
}

/// Rows that a binding can hold: whole tiles of the vocabulary, or at least of tokens, so that every slice starts where a range of the
/// vocabulary may.
fn rows_of_a_slice(max_bytes: u64, row_bytes: u64) -> u32 {
    let fit = u32::try_from(max_bytes / row_bytes).unwrap_or(u32::MAX);
    match fit {
        VOCAB_TILE.. => fit / VOCAB_TILE * VOCAB_TILE,
        TOKEN_TILE.. => fit / TOKEN_TILE * TOKEN_TILE,
        _ => 4,
    }
}

/// Rows for which there has to be memory, in a batch of that many tokens. How many a chunk has, the program's blocks say when they are there.
fn row_count(rows: Rows, tokens: u32) -> u32 {
    match rows {
        Rows::Fixed(count) | Rows::Ring(count) => count,
        Rows::Tokens => tokens,
        Rows::Chunk => 0,
    }
}

fn push(tensors: &mut Vec<Tensor>, tensor: Tensor) -> TensorId {
    tensors.push(tensor);
    TensorId(tensors.len() as u32 - 1)
}

/// The tensors that hosts fill or read.
fn batch_tensors(config: &Config, batch: &BatchShape, tensors: &mut Vec<Tensor>) -> Bindings {
    let tokens = batch.tokens();
    let slot = BINDING_ALIGNMENT as u32 / 4;
    let mut add = |name: &str, kind, rows, cols, element, storage| {
        let row_count = row_count(rows, tokens);
        push(tensors, Tensor { name: name.to_owned(), kind, layer: None, rows, row_count, cols, element, storage })
    };
    let mut of_tokens = |name, element| add(name, TensorKind::Batch, Rows::Tokens, 1, element, Storage::Own);
    let [input_ids, labels, segment_start, token_order] =
        ["input_ids", "labels", "segment_start", "token_order"].map(|name| of_tokens(name, Element::U32));
    let [loss_weight, log_probs] = ["loss_weight", "log_probs"].map(|name| of_tokens(name, Element::F32));
    let mut fixed = |name, rows, cols, element, storage| add(name, TensorKind::Scratch, Rows::Fixed(rows), cols, element, storage);
    let mut rope_table = |name| fixed(name, TOKEN_TILE + batch.longest().div_ceil(TOKEN_TILE), config.head_dim, Element::F32, Storage::Own);
    let table = rope_table("rope_table");
    let has_local = config.sliding_layers.contains(&true) && config.local_rope != config.rope;
    let local_rope_table = if has_local { rope_table("local_rope_table") } else { table };
    Bindings {
        input_ids,
        labels,
        segment_start,
        loss_weight,
        token_order,
        log_probs,
        token_start: fixed("token_start", config.vocab_size + 1, 1, Element::U32, Storage::Own),
        rope_table: table,
        local_rope_table,
        metrics: fixed("metrics", 1, 4, Element::F32, Storage::Own),
        adamw_params: fixed("adamw_params", 1, 8, Element::F32, Storage::Own),
        op_params: fixed("op_params", 0, slot, Element::U32, Storage::Uniform),
        chunks: fixed("chunks", 0, slot, Element::U32, Storage::Uniform),
        read_back: fixed("read_back", 1, 4, Element::F32, Storage::ReadBack),
        staging: Vec::new(),
    }
}
