//! Writes a [`Program`] down, one operation after the other.

use super::again::Again;
use super::program::{Bindings, Block, Lead, Node, Part, Pass, Program, Walk};
use super::stretch::stretch;
use super::{BINDING_ALIGNMENT, BatchShape, Element, Keep, Kind, Op, Rows, Storage, Strategy, TOKEN_TILE, Tensor, TensorId, VOCAB_TILE};
use crate::model::{Config, Layout, Parameter, ParameterId, Parameters, Projection, Role};

/// A program that is being written.
pub struct Builder {
    /// What has been written so far.
    pub program: Program,
    layout: Layout,
    layer: Option<u32>,
    pub(super) again: Again,
}

/// A projection's adapter.
pub(super) struct Adapter {
    /// The matrix that reads (rank×columns).
    pub a: Vec<Part>,
    /// The matrix that writes (rows×rank).
    pub b: Vec<Part>,
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
    pub fn new(layout: impl Into<Layout>, batch: BatchShape, strategy: Strategy) -> Self {
        let layout = layout.into();
        let parameters = Parameters::new(&layout);
        let mut tensors = Vec::new();
        let bindings = batch_tensors(&layout.config, &batch, &mut tensors);
        let program = Program {
            config: layout.config.clone(),
            parameters,
            batch,
            strategy,
            tensors,
            blocks: Vec::new(),
            bindings,
            weights: Vec::new(),
            gradients: Vec::new(),
            moments: Vec::new(),
        };
        let mut builder = Builder { program, layout, layer: None, again: Again::default() };
        builder.program.weights = builder.like_parameters("", Kind::Weights, |_| true);
        builder
    }

    /// Gives every parameter that learns a gradient.
    pub(super) fn add_gradients(&mut self) {
        self.program.gradients = self.like_parameters("d_", Kind::Gradients, |p| p.is_trained);
    }

    /// Gives every parameter that learns AdamW's two moments.
    pub(super) fn add_moments(&mut self) {
        let first = self.like_parameters("moment1.", Kind::Optimizer, |p| p.is_trained);
        let second = self.like_parameters("moment2.", Kind::Optimizer, |p| p.is_trained);
        self.program.moments = first.into_iter().zip(second).map(|(first, second)| [first, second]).collect();
    }

    fn like_parameters(&mut self, prefix: &str, kind: Kind, is_wanted: impl Fn(&Parameter) -> bool) -> Vec<Vec<Part>> {
        let parameters: Vec<Parameter> = self.program.parameters.iter().map(|(_, p)| p.clone()).collect();
        parameters.iter().map(|p| if is_wanted(p) { self.like_parameter(prefix, kind, p) } else { Vec::new() }).collect()
    }

    /// A tensor that lies like a parameter, or several with so many of its rows each that a binding can hold them.
    fn like_parameter(&mut self, prefix: &str, kind: Kind, parameter: &Parameter) -> Vec<Part> {
        let row_bytes = parameter.precision.row_bytes(parameter.padded_cols());
        let most = rows_of_a_part(self.layout.part_bytes, row_bytes);
        let count = parameter.padded_rows().div_ceil(most);
        let part = |first_row: u32| {
            let rows = most.min(parameter.padded_rows() - first_row);
            let number = if count > 1 { format!("[{first_row}..{}]", first_row + rows) } else { String::new() };
            let tensor = Tensor {
                name: format!("{prefix}{}{number}", parameter.name),
                kind,
                layer: parameter.layer,
                rows: Rows::Fixed(rows),
                row_count: rows,
                cols: parameter.padded_cols(),
                element: Element::Float(parameter.precision),
                storage: Storage::Own,
            };
            Part { tensor: self.push_tensor(tensor), first_row, rows }
        };
        (0..count).map(|i| i * most).map(part).collect()
    }

    fn push_tensor(&mut self, tensor: Tensor) -> TensorId {
        push(&mut self.program.tensors, tensor)
    }

    /// The model's sizes.
    pub(super) fn config(&self) -> &Config {
        &self.program.config
    }

    /// N.
    pub(super) fn tokens(&self) -> u32 {
        self.program.tokens()
    }

    /// A matrix's values, by role, in the layer at hand.
    pub(super) fn weight(&self, role: Role) -> Vec<Part> {
        self.program.weight(self.parameter(role)).to_vec()
    }

    /// A vector's values, by role, in the layer at hand.
    pub(super) fn vector(&self, role: Role) -> TensorId {
        self.program.weight(self.parameter(role))[0].tensor
    }

    /// A bias, if the projection has one.
    pub(super) fn bias(&self, projection: Projection) -> Option<TensorId> {
        let id = self.program.parameters.get_if_any(Role::Bias(projection), self.layer)?;
        Some(self.program.weight(id)[0].tensor)
    }

    /// A projection's adapter, if it has one.
    pub(super) fn adapter(&self, projection: Projection) -> Option<Adapter> {
        let lora = self.layout.adapters().filter(|lora| lora.targets.contains(&projection))?;
        Some(Adapter {
            a: self.weight(Role::LoraA(projection)),
            b: self.weight(Role::LoraB(projection)),
            width: lora.rank.next_multiple_of(4),
            scale: lora.scale(),
        })
    }

    /// A parameter's gradient, by role, in the layer at hand. Nothing if it does not learn.
    pub(super) fn gradient(&self, role: Role) -> Vec<Part> {
        self.program.gradient(self.parameter(role)).to_vec()
    }

    fn parameter(&self, role: Role) -> ParameterId {
        let layer = match role {
            Role::Embedding | Role::FinalNorm | Role::Head => None,
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

    fn keeps(&self, keep: Keep) -> bool {
        self.program.strategy.keeps(keep, self.layer(), self.config().num_hidden_layers)
    }

    /// What the rows of keys and values are in the layer at hand: no more than its window needs, unless they are kept.
    pub(super) fn key_rows(&self) -> Rows {
        let window = self.config().window(self.layer()).filter(|_| !self.keeps(Keep::KeysValues));
        window.and_then(|window| self.program.strategy.ring(self.tokens(), window)).map_or(Rows::Tokens, Rows::Ring)
    }

    /// Something that the layer at hand computes on its way to its output: for all tokens if that is kept, else for a chunk.
    pub(super) fn activation(&mut self, keep: Keep, name: &str, cols: u32) -> TensorId {
        let rows = if self.keeps(keep) { Rows::Tokens } else { Rows::Chunk(self.chunk()) };
        self.of_layer(keep, name, Kind::Activations, rows, cols)
    }

    /// Something of a chunk that nobody keeps.
    pub(super) fn passing(&mut self, name: &str, kind: Kind, cols: u32) -> TensorId {
        let id = self.tensor(name, kind, Rows::Chunk(self.chunk()), cols);
        self.again.note(id, None);
        id
    }

    /// Something that the layer at hand computes on its way to its output. What is still there from before is found by its name.
    pub(super) fn of_layer(&mut self, keep: Keep, name: &str, kind: Kind, rows: Rows, cols: u32) -> TensorId {
        let is_of_chunk = matches!(rows, Rows::Chunk(_));
        let full_name = format!("layers.{}.{name}", self.layer());
        if let Some(id) = self.again.find(&full_name).filter(|_| !is_of_chunk) {
            return id;
        }
        let id = self.tensor(name, kind, rows, cols);
        let outlives_the_block = self.keeps(keep) || self.again.is_on();
        self.again.note(id, (outlives_the_block && !is_of_chunk).then_some(full_name));
        id
    }

    /// A tensor that shares the arena; its name gets the layer at hand in front.
    pub fn tensor(&mut self, name: &str, kind: Kind, rows: Rows, cols: u32) -> TensorId {
        let row_count = row_count(rows, self.tokens());
        let name = self.layer.map_or_else(|| name.to_owned(), |layer| format!("layers.{layer}.{name}"));
        self.push_tensor(Tensor { name, kind, layer: self.layer, rows, row_count, cols, element: Element::F32, storage: Storage::Arena })
    }

    /// Something for all tokens that waits on the host. The chunks on their way there need buffers that the host can read.
    pub(super) fn on_host(&mut self, name: &str, cols: u32) -> TensorId {
        let id = self.tensor(name, Kind::LayerInputs, Rows::Tokens, cols);
        self.program.tensors[id.0 as usize].storage = Storage::Host;
        if self.program.bindings.staging.is_empty() {
            let rows = Rows::Fixed(self.chunk());
            for i in 0..STAGING {
                let name = format!("staging.{i}");
                let (row_count, storage, element) = (self.chunk(), Storage::ReadBack, Element::F32);
                let staging = Tensor { name, kind: Kind::Scratch, layer: None, rows, row_count, cols, element, storage };
                let staging = self.push_tensor(staging);
                self.program.bindings.staging.push(staging);
            }
        }
        id
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

    /// The operations inside are done for each chunk of the walk.
    pub fn block<T>(&mut self, pass: Pass, title: &'static str, walk: Walk, write: impl FnOnce(&mut Self) -> T) -> T {
        self.program.blocks.push(Block { pass, layer: self.layer, title, walk, lead: Lead::default(), nodes: Vec::new() });
        let result = write(self);
        self.again.settle(&mut self.program);
        result
    }

    /// The operations inside, the first of the block at hand, are done that many chunks ahead of what follows.
    pub(super) fn ahead<T>(&mut self, chunks: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let result = write(self);
        self.again.settle(&mut self.program);
        let nodes = self.nodes().len();
        if chunks > 0 && nodes > 0 {
            self.block_at_hand().lead = Lead { nodes, chunks };
        }
        result
    }

    /// The operations inside were done before, in the forward pass or for the sake of keys and values. What they yielded and is still there
    /// is not computed again, nor is what nobody in the block needs.
    pub(super) fn recompute<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.again.begin(self.nodes().len());
        let result = write(self);
        self.again.end(self.nodes().len());
        result
    }

    /// The next operation of the block at hand.
    pub fn push(&mut self, op: Op) {
        if !self.again.is_done(&op) {
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
        self.again.leave_out_unused(&mut self.program);
        if self.program.strategy.stretches() {
            stretch(&mut self.program);
        }
        let slots = self.program.node_count() as u32;
        let tokens = self.tokens();
        self.program.blocks.iter().for_each(|block| self.check_lead(block));
        let chunks = self.program.chunk_lengths().into_iter().map(|len| tokens.div_ceil(len)).sum();
        for (id, count) in [(self.program.bindings.op_params, slots), (self.program.bindings.chunks, chunks)] {
            let tensor = &mut self.program.tensors[id.0 as usize];
            tensor.rows = Rows::Fixed(count);
            tensor.row_count = count;
        }
        self.program
    }

    /// What is done ahead is done for another chunk, so it shares no tensor of a chunk with the rest.
    fn check_lead(&self, block: &Block) {
        let (lead, rest) = block.nodes.split_at(block.lead.nodes);
        let [ahead, rest] = [lead, rest].map(|nodes| self.tensors_of_a_chunk(nodes));
        if let Some(&id) = rest.iter().find(|id| ahead.contains(id)) {
            panic!("{} is read for another chunk than it was written for", self.program.tensor(id).name);
        }
    }

    fn tensors_of_a_chunk(&self, nodes: &[Node]) -> Vec<TensorId> {
        let operands = nodes.iter().flat_map(|node| node.op.operands()).map(|(_, id)| id);
        operands.filter(|&id| matches!(self.program.tensor(id).rows, Rows::Chunk(_))).collect()
    }
}

/// Rows that a binding can hold: whole tiles of words, or at least of tokens, so that every part starts where a block may.
fn rows_of_a_part(part_bytes: u64, row_bytes: u64) -> u32 {
    let fit = u32::try_from(part_bytes / row_bytes).unwrap_or(u32::MAX);
    match fit {
        VOCAB_TILE.. => fit / VOCAB_TILE * VOCAB_TILE,
        TOKEN_TILE.. => fit / TOKEN_TILE * TOKEN_TILE,
        _ => 4,
    }
}

/// Rows for which there has to be memory, in a batch of that many tokens.
fn row_count(rows: Rows, tokens: u32) -> u32 {
    match rows {
        Rows::Fixed(count) | Rows::Ring(count) | Rows::Chunk(count) => count,
        Rows::Tokens => tokens,
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
    let mut of_tokens = |name, element| add(name, Kind::Batch, Rows::Tokens, 1, element, Storage::Own);
    let [input_ids, labels, segment_start, token_order] =
        ["input_ids", "labels", "segment_start", "token_order"].map(|name| of_tokens(name, Element::U32));
    let [loss_weight, log_probs] = ["loss_weight", "log_probs"].map(|name| of_tokens(name, Element::F32));
    let mut fixed = |name, rows, cols, element, storage| add(name, Kind::Scratch, Rows::Fixed(rows), cols, element, storage);
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
        settings: fixed("settings", 1, 8, Element::F32, Storage::Own),
        op_params: fixed("op_params", 0, slot, Element::U32, Storage::Uniform),
        chunks: fixed("chunks", 0, slot, Element::U32, Storage::Uniform),
        read_back: fixed("read_back", 1, 4, Element::F32, Storage::ReadBack),
        staging: Vec::new(),
    }
}
