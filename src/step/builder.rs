//! The builder of a [`Program`]: declares its tensors and appends its operations, block by block.
//!
//! [`forward`](super::forward), [`loss`](super::loss), [`backward`](super::backward) and [`update`](super::update) call it in the order of
//! the data flow. It chooses the shape and the storage of each tensor from the strategy, splits parameters that no binding can hold into
//! slices, and has [`Recompute`] remove recomputation that nothing reads.

use std::ops::Range;

use super::batch::BatchShape;
use super::chunk::ChunkOrder;
use super::message::Batches;
use super::objective::Objective;
use super::ops::{Op, RowSlice};
use super::program::{Bindings, Block, Lookahead, NextBindings, Node, PairBindings, ParameterSlice, Pass, Program, SampleBindings};
use super::recompute::Recompute;
use super::saved_activations::SavedActivation;
use super::share::Share;
use super::strategy::Strategy;
use super::tensor::{BINDING_ALIGNMENT, Element, Rows, Storage, TOKEN_TILE, Tensor, TensorId, TensorKind, VOCAB_TILE};
use crate::model::{Config, ModelSpec, Parameter, ParameterId, Parameters, Projection, Role};

/// A program under construction.
pub struct Builder {
    /// The program so far. Tensors that hold a chunk's rows have no row count before [`Builder::finish`].
    pub program: Program,
    layer: Option<u32>,
    lowest_trainable_layer: u32,
    pub(super) recompute: Recompute,
    /// Does the next operation begin a run?
    begins_run: bool,
    /// Has the program a loss, for which only tokens with labels count?
    has_loss: bool,
    /// Is what is pushed needed for tokens with labels only?
    labelled_only: bool,
    /// The tokens at hand, if they are not those of the batch.
    apart: Option<TokenTensors>,
    /// The batches of a step for which the next blocks run.
    batches: Batches,
    /// What logits are divided by.
    pub(super) temperature: f64,
}

/// What a forward pass is told of its tokens.
#[derive(Clone, Copy)]
pub(super) struct TokenTensors {
    /// Their ids.
    pub input_ids: TensorId,
    /// What is subtracted from the number of a token to give its position in its sequence.
    pub origins: TensorId,
}

/// The LoRA adapter of a projection M×K, in the current layer.
pub(super) struct Adapter {
    /// LoRA A (rank×K).
    pub a: Vec<ParameterSlice>,
    /// LoRA B (M×rank).
    pub b: Vec<ParameterSlice>,
    /// Columns of the intermediate, the output of A: the rank, padded to a multiple of four.
    pub width: u32,
    /// The factor of the adapter's contribution: `lora_alpha / r`, or `lora_alpha / √r` for rank-stabilised LoRA.
    pub scale: f64,
}

/// Partial sums of squares per slice of a parameter.
pub(super) const SQUARE_SUM_PARTIALS: u32 = 256;
/// The most elements that are read for another rank at once.
const EXCHANGE_ELEMENTS: u64 = 4 << 20;
/// Chunks that can be in flight to the host at once.
const STAGING: u32 = 2;

impl Builder {
    /// A program without operations. It has the batch's tensors and the values of all parameters.
    pub fn new(spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Self {
        let spec = spec.into();
        let parameters = Parameters::new(&spec);
        let mut tensors = Vec::new();
        let bindings = batch_tensors(&spec.config, &batch, &mut tensors);
        let lowest_trainable_layer = parameters.lowest_trainable_layer();
        let objective = Objective::default();
        let program = Program { spec, parameters, batch, strategy, objective, tensors, blocks: Vec::new(), bindings, slices: Vec::new() };
        let mut builder = Builder {
            program,
            layer: None,
            lowest_trainable_layer,
            recompute: Recompute::default(),
            begins_run: false,
            has_loss: false,
            labelled_only: false,
            apart: None,
            batches: Batches::All,
            temperature: 1.0,
        };
        builder.program.slices = builder.program.parameters.iter().map(|(_, parameter)| builder.slices_of(parameter)).collect();
        builder.add_to_slices("", TensorKind::Weights, |_| true, |slice, id| slice.value = id);
        if builder.is_split() {
            builder.program.bindings.exchange = Some(builder.exchange_buffer());
        }
        builder
    }

    /// Says that the program ends with a loss, for which only tokens with labels count.
    pub(super) fn add_loss(&mut self) {
        self.has_loss = true;
    }

    /// Sets what the step minimises, and adds the tensors that it needs.
    ///
    /// # Panics
    /// If it compares pairs, and the batch has an odd number of sequences.
    pub fn minimise(&mut self, objective: Objective) {
        self.program.objective = objective;
        self.temperature = objective.temperature();
        let (sequences, tokens) = (self.program.batch.lengths().len() as u32, self.tokens());
        let mut add = |name: &str, rows, cols, element| {
            self.push_tensor(Tensor::new(name, TensorKind::Batch, (rows, row_count(rows, tokens)), cols, element, Storage::Own))
        };
        match objective {
            Objective::CrossEntropy => {}
            Objective::Dpo(_) => {
                assert!(sequences.is_multiple_of(2), "{sequences} sequences are no pairs");
                self.program.bindings.pairs = Some(PairBindings {
                    sequence_start: add("sequence_start", Rows::Fixed(sequences + 1), 1, Element::U32),
                    ref_log_probs: add("ref_log_probs", Rows::Tokens, 1, Element::F32),
                    sequence_log_probs: add("sequence_log_probs", Rows::Fixed(sequences), 2, Element::F32),
                });
            }
            Objective::Grpo(settings) => {
                self.program.bindings.samples = Some(SampleBindings {
                    sequence_start: add("sequence_start", Rows::Fixed(sequences + 1), 1, Element::U32),
                    advantages: add("advantages", Rows::Fixed(sequences), 1, Element::F32),
                    old_log_probs: settings.has_old_log_probs.then(|| add("old_log_probs", Rows::Tokens, 1, Element::F32)),
                    ref_log_probs: settings.has_reference().then(|| add("ref_log_probs", Rows::Tokens, 1, Element::F32)),
                    sequence_metrics: add("sequence_metrics", Rows::Fixed(sequences), 4, Element::F32),
                });
            }
        }
    }

    /// Adds a gradient of the same shape for every trainable parameter.
    pub(super) fn add_gradients(&mut self) {
        self.add_to_slices("d_", TensorKind::Gradients, |p| p.is_trainable, |slice, id| slice.gradient = Some(id));
    }

    /// Adds AdamW's first and second moment, of the same shape, for every trainable parameter that this rank updates.
    pub(super) fn add_moments(&mut self) {
        let split = self.program.batch.split().cloned();
        let is_here = |p: &Parameter| p.is_trainable && split.as_ref().is_none_or(|split| split.owner(p.layer) == split.rank());
        self.add_to_slices("moment1.", TensorKind::Optimizer, is_here, |slice, id| slice.moments = Some([id; 2]));
        let second = |slice: &mut ParameterSlice, id| slice.moments = slice.moments.map(|[first, _]| [first, id]);
        self.add_to_slices("moment2.", TensorKind::Optimizer, is_here, second);
    }

    /// Splits a parameter into slices of whole rows, each small enough for a binding. They have no tensors yet.
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

    /// Adds a tensor for each slice of the parameters for which `is_wanted` holds, and passes it to `note`.
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
                let (name, rows) = (format!("{prefix}{}{number}", parameter.name), (Rows::Fixed(slice.rows), slice.rows));
                let element = Element::Float(parameter.dtype);
                let tensor = Tensor::new(name, kind, rows, parameter.padded_cols(), element, Storage::Own);
                let tensor = Tensor { layer: parameter.layer, ..tensor };
                note(slice, push(tensors, tensor));
            }
        }
    }

    pub(super) fn push_tensor(&mut self, tensor: Tensor) -> TensorId {
        push(&mut self.program.tensors, tensor)
    }

    /// The model's configuration.
    pub(super) fn config(&self) -> &Config {
        self.program.config()
    }

    /// N: tokens of the batch.
    pub(super) fn tokens(&self) -> u32 {
        self.program.tokens()
    }

    /// The tokens of this rank.
    pub(super) fn share(&self) -> Share {
        self.program.share()
    }

    /// Does the batch lie on several ranks?
    pub(super) fn is_split(&self) -> bool {
        self.program.batch.split().is_some()
    }

    /// The layers that a block here would go through.
    pub(super) fn layers_at_hand(&self) -> Range<u32> {
        self.layer.map_or(0..0, |layer| layer..layer + 1)
    }

    /// The slices of a parameter of the current layer, or of the model where the role belongs to no layer.
    pub(super) fn slices(&self, role: Role) -> Vec<ParameterSlice> {
        self.program.slices(self.parameter(role)).to_vec()
    }

    /// The values of a vector, by its role, in the current layer. A vector is a single slice.
    pub(super) fn vector(&self, role: Role) -> TensorId {
        self.program.slices(self.parameter(role))[0].value
    }

    /// The bias of a projection in the current layer, if it has one.
    pub(super) fn bias(&self, projection: Projection) -> Option<TensorId> {
        let id = self.program.parameters.get_if_any(Role::Bias(projection), self.layer)?;
        Some(self.program.slices(id)[0].value)
    }

    /// The LoRA adapter of a projection in the current layer, if it has one.
    pub(super) fn adapter(&self, projection: Projection) -> Option<Adapter> {
        let lora = self.program.spec.adapters().filter(|lora| lora.adapts(projection, self.layer()))?;
        Some(Adapter {
            a: self.slices(Role::LoraA(projection)),
            b: self.slices(Role::LoraB(projection)),
            width: lora.rank.next_multiple_of(4),
            scale: lora.scale(),
        })
    }

    /// The gradients of a parameter of the current layer, each with the rows of its slice. Empty if the parameter is frozen.
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

    /// The current layer.
    ///
    /// # Panics
    /// Outside [`Builder::in_layer`].
    pub(super) fn layer(&self) -> u32 {
        self.layer.expect("inside a layer")
    }

    /// C: tokens of a chunk in the layers. Adaptive chunks may become longer when the program is planned.
    pub(super) fn chunk(&self) -> u32 {
        self.program.strategy.chunk(self.share().tokens())
    }

    /// The lowest layer with a trainable parameter: the last one that the backward pass goes through.
    pub(super) fn lowest_trainable_layer(&self) -> u32 {
        self.lowest_trainable_layer
    }

    /// What the forward pass is told of the tokens at hand.
    pub(super) fn token_tensors(&self) -> TokenTensors {
        let Bindings { input_ids, segment_start, .. } = self.program.bindings;
        self.apart.unwrap_or(TokenTensors { input_ids, origins: segment_start })
    }

    /// Makes other tokens than those of the batch the tokens at hand while `write` runs. No backward pass needs anything of them.
    pub(super) fn with_tokens<T>(&mut self, tokens: TokenTensors, write: impl FnOnce(&mut Self) -> T) -> T {
        self.apart = Some(tokens);
        let result = write(self);
        self.apart = None;
        result
    }

    /// Makes the blocks that `write` appends run for some batches of a step.
    pub(super) fn for_batches<T>(&mut self, batches: Batches, write: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.batches, batches);
        let result = write(self);
        self.batches = outer;
        result
    }

    /// Adds the tensors of the step's next batch that its first layers read.
    pub(super) fn add_next_batch(&mut self) {
        let tokens = self.tokens();
        let mut add = |name| self.push_tensor(Tensor::new(name, TensorKind::Batch, (Rows::Tokens, tokens), 1, Element::U32, Storage::Own));
        self.program.bindings.next = Some(NextBindings { input_ids: add("next.input_ids"), segment_start: add("next.segment_start") });
    }

    fn saves(&self, saved_as: SavedActivation) -> bool {
        let is_for_backward = self.apart.is_none() && self.layer() >= self.lowest_trainable_layer;
        is_for_backward && self.program.strategy.saves(saved_as, self.layer(), self.config().num_hidden_layers)
    }

    /// The groups of layers that the backward pass goes through, the lowest first.
    pub(super) fn layer_groups(&self) -> Vec<Range<u32>> {
        self.program.strategy.layer_groups(self.lowest_trainable_layer..self.config().num_hidden_layers)
    }

    /// Are keys and values of the current layer still there when the backward pass comes to it? The strategy may save them; and the layers
    /// of the last group, if it has several, come first and would need them at once.
    pub(super) fn keeps_keys_values(&self) -> bool {
        let is_in_last_group = || self.layer_groups().pop().is_some_and(|group| group.len() > 1 && group.contains(&self.layer()));
        self.saves(SavedActivation::KeysValues) || self.apart.is_none() && is_in_last_group()
    }

    /// The keys and values of the current layer, which an earlier block left.
    pub(super) fn keys_values_left(&self) -> [TensorId; 2] {
        ["k", "v"].map(|name| {
            let left = self.recompute.left(&self.name_of(name));
            left.expect("a block before has left keys and values")
        })
    }

    /// Lets go of the keys and values of the current layer, unless the backward pass still needs them.
    pub(super) fn let_go_of_keys_values(&mut self) {
        if !self.keeps_keys_values() {
            ["k", "v", "k.rstd"].into_iter().for_each(|name| self.recompute.forget(&self.name_of(name)));
        }
    }

    /// The rows of keys and values in the current layer: a ring that spans the sliding window, or all tokens where there is no window, where
    /// they are kept, or where the layers of a group are recomputed together.
    pub(super) fn key_rows(&self) -> Rows {
        let is_in_group = || self.layer_groups().into_iter().any(|group| group.len() > 1 && group.contains(&self.layer()));
        if self.keeps_keys_values() || self.recompute.is_on() && is_in_group() { Rows::Tokens } else { self.ring() }
    }

    /// A ring that spans the sliding window of the current layer, or all tokens where there is none.
    pub(super) fn ring(&self) -> Rows {
        // What a rank hands on is there as a whole.
        let window = self.config().window(self.layer()).filter(|_| !self.is_split());
        window.and_then(|window| self.program.strategy.ring(self.tokens(), window)).map_or(Rows::Tokens, Rows::Ring)
    }

    /// A forward activation of the current layer: N rows if the strategy saves it, otherwise C rows.
    pub(super) fn activation(&mut self, saved_as: SavedActivation, name: &str, cols: u32) -> TensorId {
        let (rows, element) = (self.activation_rows(saved_as), self.activation_element());
        self.of_layer(saved_as, TensorKind::Activations, (name, rows, cols, element))
    }

    /// The same in f32, whatever the dtype of activations: statistics, and what is added to in memory.
    pub(super) fn f32_activation(&mut self, saved_as: SavedActivation, name: &str, cols: u32) -> TensorId {
        let rows = self.activation_rows(saved_as);
        self.of_layer(saved_as, TensorKind::Activations, (name, rows, cols, Element::F32))
    }

    fn activation_rows(&self, saved_as: SavedActivation) -> Rows {
        if self.saves(saved_as) { Rows::Tokens } else { Rows::Chunk }
    }

    /// How activations are stored.
    pub(super) fn activation_element(&self) -> Element {
        Element::Float(self.program.spec.activation_dtype.dtype())
    }

    /// A temporary f32 tensor of one chunk (C rows), which is never saved.
    pub(super) fn chunk_temporary(&mut self, name: &str, kind: TensorKind, cols: u32) -> TensorId {
        let id = self.tensor(name, kind, Rows::Chunk, cols);
        self.recompute.note(id, None);
        id
    }

    /// A temporary activation of one chunk, which is never saved.
    pub(super) fn temporary_activation(&mut self, name: &str, kind: TensorKind, cols: u32) -> TensorId {
        let id = self.activation_tensor(name, kind, Rows::Chunk, cols);
        self.recompute.note(id, None);
        id
    }

    /// A forward tensor of the current layer, by its name, rows, columns and elements. During recomputation it returns the tensor of the
    /// same name that an earlier block left, if there is one.
    pub(super) fn of_layer(
        &mut self,
        saved_as: SavedActivation,
        kind: TensorKind,
        (name, rows, cols, element): (&str, Rows, u32, Element),
    ) -> TensorId {
        let is_of_chunk = rows == Rows::Chunk;
        let full_name = self.name_of(name);
        if let Some(id) = self.recompute.find(&full_name).filter(|_| !is_of_chunk) {
            return id;
        }
        let id = self.tensor_of(name, kind, rows, cols, element);
        let is_kept = if kind == TensorKind::KeysValues { self.keeps_keys_values() } else { self.saves(saved_as) };
        let outlives_the_block = is_kept || self.recompute.is_on();
        self.recompute.note(id, (outlives_the_block && !is_of_chunk).then_some(full_name));
        id
    }

    /// The name under which blocks find a tensor of the current layer again. Those of other tokens than the batch's are others.
    fn name_of(&self, name: &str) -> String {
        let apart = if self.apart.is_some() { "apart." } else { "" };
        format!("layers.{}.{apart}{name}", self.layer())
    }

    /// Adds an f32 tensor in the arena. The current layer is prefixed to its name.
    pub fn tensor(&mut self, name: &str, kind: TensorKind, rows: Rows, cols: u32) -> TensorId {
        self.tensor_of(name, kind, rows, cols, Element::F32)
    }

    /// The same with the dtype of activations.
    pub(super) fn activation_tensor(&mut self, name: &str, kind: TensorKind, rows: Rows, cols: u32) -> TensorId {
        self.tensor_of(name, kind, rows, cols, self.activation_element())
    }

    fn tensor_of(&mut self, name: &str, kind: TensorKind, rows: Rows, cols: u32, element: Element) -> TensorId {
        let tokens = self.tokens_of(kind, rows);
        let row_count = row_count(rows, tokens.tokens());
        let name = self.layer.map_or_else(|| name.to_owned(), |layer| format!("layers.{layer}.{name}"));
        let tensor = Tensor::new(name, kind, (rows, row_count), cols, element, Storage::Arena);
        self.push_tensor(Tensor { layer: self.layer, first_token: tokens.first, ..tensor })
    }

    /// The tokens that a tensor has rows for: those of this rank, or for keys and values also what it sees before them.
    fn tokens_of(&self, kind: TensorKind, rows: Rows) -> Share {
        let is_seen = matches!(kind, TensorKind::KeysValues | TensorKind::KeysValuesGradients);
        let share = self.share();
        if rows == Rows::Tokens && !is_seen { share } else { Share { first: 0, ..share } }
    }

    /// Adds a tensor of N rows in host memory. Chunks in flight to the host need staging buffers that the host can map.
    pub(super) fn on_host(&mut self, name: &str, cols: u32) -> TensorId {
        let id = self.activation_tensor(name, TensorKind::LayerInputs, Rows::Tokens, cols);
        self.program.tensors[id.0 as usize].storage = Storage::Host;
        if self.program.bindings.staging.is_empty() {
            self.program.bindings.staging = (0..STAGING).map(|i| self.staging_buffer(i)).collect();
        }
        id
    }

    /// A mappable buffer for one chunk of a hidden state (C×D).
    fn staging_buffer(&mut self, number: u32) -> TensorId {
        let (rows, cols) = (self.chunk(), self.config().hidden_size.next_multiple_of(4));
        let (name, rows) = (format!("staging.{number}"), (Rows::Fixed(rows), rows));
        self.push_tensor(Tensor::new(name, TensorKind::Scratch, rows, cols, Element::F32, Storage::ReadBack))
    }

    /// A mappable buffer for what goes to other ranks: as large as the largest tensor that does, within limits.
    fn exchange_buffer(&mut self) -> TensorId {
        let elements = |rows: u32, cols: u32| u64::from(rows) * u64::from(cols);
        let keys = elements(self.share().end, self.config().num_key_value_heads * self.config().head_dim.next_multiple_of(4));
        let trainable = self.program.parameters.trainable();
        let of_parameter = |(id, parameter): (ParameterId, &Parameter)| {
            let slices = self.program.slices(id).iter();
            slices.map(|slice| elements(slice.rows, parameter.padded_cols())).max().unwrap_or(0)
        };
        let rows = trainable.map(of_parameter).fold(keys, u64::max).min(EXCHANGE_ELEMENTS) as u32;
        let (kind, element) = (TensorKind::Scratch, Element::F32);
        self.push_tensor(Tensor::new("exchange", kind, (Rows::Fixed(rows), rows), 1, element, Storage::ReadBack))
    }

    /// Makes `layer` the current layer while `write` runs.
    pub(super) fn in_layer<T>(&mut self, layer: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.layer.replace(layer);
        let result = write(self);
        self.layer = outer;
        result
    }

    /// Appends a block. Its operations, which `write` pushes, run for each chunk in `chunk_order`.
    pub fn block<T>(&mut self, pass: Pass, title: &'static str, chunk_order: ChunkOrder, write: impl FnOnce(&mut Self) -> T) -> T {
        self.block_of(&self.layers_at_hand(), pass, title, chunk_order, write)
    }

    /// The same for several layers, between which `write` chooses.
    pub(super) fn block_of<T>(
        &mut self,
        layers: &Range<u32>,
        pass: Pass,
        title: &'static str,
        chunk_order: ChunkOrder,
        write: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.program.blocks.push(Block {
            pass,
            layers: layers.clone(),
            title,
            chunk_order,
            batches: self.batches,
            lookahead: Lookahead::default(),
            nodes: Vec::new(),
        });
        let result = write(self);
        self.recompute.eliminate_dead(&mut self.program);
        result
    }

    /// Makes the operations that `write` pushes, the first of the current block, run `chunks` chunks ahead of the rest of the block.
    pub(super) fn ahead<T>(&mut self, chunks: u32, write: impl FnOnce(&mut Self) -> T) -> T {
        let result = write(self);
        self.recompute.eliminate_dead(&mut self.program);
        let nodes = self.nodes().len();
        if chunks > 0 && nodes > 0 {
            self.block_at_hand().lookahead = Lookahead { nodes, chunks };
        }
        result
    }

    /// Marks the operations that `write` pushes as recomputation. Operations whose outputs are still alive, or which nothing in the block
    /// reads, are left out.
    pub(super) fn recompute<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        self.recompute.begin(self.nodes().len());
        let result = write(self);
        self.recompute.end(self.nodes().len());
        result
    }

    /// Appends an operation to the current block, unless it recomputes tensors that are still alive.
    ///
    /// # Panics
    /// Outside [`Builder::block`].
    pub fn push(&mut self, op: impl Into<Op>) {
        let op = op.into();
        if !self.recompute.is_done(&op) {
            let (begins_run, labelled_only) = (std::mem::take(&mut self.begins_run), self.labelled_only);
            let node = Node { layer: self.layer, op, begins_run, labelled_only };
            self.block_at_hand().nodes.push(node);
        }
    }

    /// Keeps the next operation out of the dispatches of earlier ones, so that what it writes can take memory that they free. Operations
    /// that share a dispatch need their memory at the same time.
    pub(super) fn begin_run(&mut self) {
        self.begins_run = true;
    }

    /// In the last layer and in the loss head: says that nobody needs what `write` pushes for token tiles without a label. What such an
    /// operation has not computed, only operations of the same kind may read.
    pub(super) fn for_labels<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let is_behind_the_last_attention = self.layer.is_none_or(|layer| layer + 1 == self.config().num_hidden_layers);
        let has_labels = self.has_loss && self.apart.is_none();
        let outer = std::mem::replace(&mut self.labelled_only, has_labels && is_behind_the_last_attention);
        let result = write(self);
        self.labelled_only = outer;
        result
    }

    fn nodes(&self) -> &[Node] {
        &self.program.blocks.last().expect("operations stand in a block").nodes
    }

    fn block_at_hand(&mut self) -> &mut Block {
        self.program.blocks.last_mut().expect("operations stand in a block")
    }

    /// The finished program: empty blocks and unused tensors are removed, and each operation and each chunk gets a uniform slot.
    ///
    /// # Panics
    /// If a tensor of one chunk connects the lookahead of a block with the rest of the block.
    pub fn finish(mut self) -> Program {
        self.program.blocks.retain(|block| !block.nodes.is_empty());
        self.recompute.leave_out_unused(&mut self.program);
        self.program.blocks.iter().for_each(|block| self.check_lookahead(block));
        let (table, slots) = (self.program.bindings.op_params, self.program.node_count() as u32);
        self.program.tensors[table.0 as usize].set_rows(slots);
        self.program.size_chunks();
        self.program
    }

    /// The lookahead runs for another chunk than the rest of the block, so the two must share no tensor that holds a chunk's rows.
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

/// Rows of a slice of at most `max_bytes`: whole vocabulary tiles, or at least whole token tiles, so that a slice starts where a range of
/// the vocabulary may start.
fn rows_of_a_slice(max_bytes: u64, row_bytes: u64) -> u32 {
    let fit = u32::try_from(max_bytes / row_bytes).unwrap_or(u32::MAX);
    match fit {
        VOCAB_TILE.. => fit / VOCAB_TILE * VOCAB_TILE,
        TOKEN_TILE.. => fit / TOKEN_TILE * TOKEN_TILE,
        _ => (fit / 4 * 4).max(4),
    }
}

/// Rows to allocate in a batch of N tokens. The rows of a chunk are zero until [`Program::size_chunks`] knows the blocks.
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

/// Adds the tensors that the host fills or reads.
fn batch_tensors(config: &Config, batch: &BatchShape, tensors: &mut Vec<Tensor>) -> Bindings {
    let tokens = batch.tokens();
    let slot = BINDING_ALIGNMENT as u32 / 4;
    let mut add = |name: &str, kind, rows, cols, element, storage| {
        push(tensors, Tensor::new(name, kind, (rows, row_count(rows, tokens)), cols, element, storage))
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
        pairs: None,
        samples: None,
        roll_out: None,
        token_start: fixed("token_start", config.vocab_size + 1, 1, Element::U32, Storage::Own),
        rope_table: table,
        local_rope_table,
        metrics: fixed("metrics", 1, 4, Element::F32, Storage::Own),
        adamw_params: fixed("adamw_params", 1, 8, Element::F32, Storage::Own),
        op_params: fixed("op_params", 0, slot, Element::U32, Storage::Uniform),
        chunks: fixed("chunks", 0, slot, Element::U32, Storage::Uniform),
        read_back: fixed("read_back", 1, 4, Element::F32, Storage::ReadBack),
        staging: Vec::new(),
        exchange: None,
        next: None,
    }
}
