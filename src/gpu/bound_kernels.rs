//! Kernels with bind groups: bound to the memory of a plan, ready to be encoded for any chunk.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::sync::Arc;

use super::cutting::{DispatchLimit, Whole};
use super::device::Gpu;
use super::device_memory::DeviceMemory;
use super::dispatch::{BindingAccess, Group};
use super::fusion::FusedDispatch;
use super::kernels;
use super::lowering::{CompiledDispatch, Kernels, LoweredOp};
use super::part::Part;
use super::pieces::Pieces;
use super::pipelines::Pipeline;
use super::tuning::Tuning;
use crate::step::{BINDING_ALIGNMENT, Chunk, ChunkOrder, Cost, LabelledTiles, Op, OpInstance, Plan, Program, Storage, TensorId};

/// The kernels of a plan, bound to its memory.
pub(super) struct BoundKernels {
    pub gpu: Gpu,
    pub plan: Arc<Plan>,
    pub memory: DeviceMemory,
    /// The operations of each block. Host copies have no kernel.
    blocks: Vec<Vec<Option<Slot>>>,
    /// The token tiles that operations for tokens with labels do not leave out.
    tiles: LabelledTiles,
    /// Each chunk length in tokens, with the index of its first slot in the table of chunks.
    chunk_slots: Vec<(u32, u32)>,
}

/// The kernel of an operation.
struct Slot {
    params_offset: u32,
    /// The dispatch of the operation and the later ones that are fused with it. `None` if it is fused with an earlier one.
    fused: Option<BoundDispatch>,
    /// The dispatch of the operation alone, for stepping through the step.
    alone: OnceCell<BoundDispatch>,
}

/// A dispatch of one or several fused operations, ready to be encoded.
pub(super) struct BoundDispatch {
    pipeline: Pipeline,
    label: &'static str,
    tensors: Vec<TensorId>,
    pieces: Pieces,
    /// A bind group for each choice of pieces of the tensors that has been needed.
    bind_groups: RefCell<Vec<(Vec<u32>, wgpu::BindGroup)>>,
    params_offset: u32,
    groups: Vec<Group>,
    /// The number of fused operations.
    len: usize,
}

impl BoundKernels {
    /// Binds kernels to the memory of their plan, and writes the uniform tables.
    pub fn new(kernels: Kernels, memory: DeviceMemory) -> Self {
        let Kernels { gpu, plan, blocks, params } = kernels;
        let chunk_slots = chunk_slots(plan.program());
        let tiles = LabelledTiles::all(plan.program().tokens());
        let mut bound = BoundKernels { gpu, plan, memory, blocks: Vec::new(), tiles, chunk_slots };
        for (block, ops) in blocks.into_iter().enumerate() {
            let slot = |(node, op): (usize, LoweredOp)| Slot {
                params_offset: op.params_offset,
                fused: op.fused.map(|compiled| bound.bind(compiled, block, node)),
                alone: OnceCell::new(),
            };
            let slots = ops.into_iter().enumerate().map(|(node, op)| op.map(|op| slot((node, op)))).collect();
            bound.blocks.push(slots);
        }
        let bindings = &bound.program().bindings;
        bound.write(bindings.op_params, 0, &params);
        bound.write(bindings.chunks, 0, &bound.chunk_table());
        bound
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.plan.program()
    }

    /// Writes bytes into a tensor from the byte offset `from` on, in the device's layout.
    ///
    /// # Panics
    /// If the bytes exceed the tensor.
    pub fn write(&self, id: TensorId, from: u64, bytes: &[u8]) {
        let tensor = self.program().tensor(id);
        let end = from + bytes.len() as u64;
        assert!(end <= tensor.bytes(), "{} bytes from {from} on for {}, which has {}", bytes.len(), tensor.name, tensor.bytes());
        let mut at = 0;
        for (buffer, offset, count) in self.memory.ranges(&self.plan, id, from..end) {
            self.gpu.queue.write_buffer(buffer, offset, &bytes[at..at + count as usize]);
            at += count as usize;
        }
    }

    /// Sets the token tiles that operations for tokens with labels do not leave out, in submissions from now on.
    pub fn set_tiles(&mut self, tiles: LabelledTiles) {
        if self.tiles != tiles {
            self.tiles = tiles;
            self.write(self.program().bindings.chunks, 0, &self.chunk_table());
        }
    }

    /// The table of chunks: for each chunk of each length, the uniforms of a dispatch for all of it.
    fn chunk_table(&self) -> Vec<u8> {
        let share = self.program().share();
        let chunks = |&(len, _): &(u32, u32)| ChunkOrder::Ascending(len).chunks(share);
        let mut table = Vec::new();
        // The slot of blocks on other tokens, which is behind the others, is written for each chunk.
        for (slot, chunk) in self.chunk_slots.iter().flat_map(chunks).enumerate() {
            table.resize(slot * BINDING_ALIGNMENT as usize, 0);
            table.extend_from_slice(bytemuck::cast_slice(&Part::whole(chunk).uniforms(&self.tiles, share.first)));
        }
        table
    }

    /// Binds the dispatch of the operations from `node` on of a block.
    fn bind(&self, CompiledDispatch { dispatch, pipeline, params_offset }: CompiledDispatch, block: usize, node: usize) -> BoundDispatch {
        let tensors = dispatch.bindings.iter().map(|&(name, access, id)| {
            let tensor = self.program().tensor(id);
            let is_readable = access == BindingAccess::ReadWrite || tensor.storage == Storage::Own;
            assert!(is_readable, "{name}: {} is in the arena, but bound for reading", tensor.name);
            id
        });
        let ops: Vec<&Op> = self.program().blocks[block].nodes[node..][..dispatch.len()].iter().map(|node| &node.op).collect();
        let bound = BoundDispatch {
            label: dispatch.source.label(),
            tensors: tensors.collect(),
            pieces: Pieces::of(self.program(), &ops),
            bind_groups: RefCell::default(),
            params_offset,
            groups: dispatch.groups().to_vec(),
            len: dispatch.len(),
            pipeline,
        };
        // What needs no choice is bound now, and not while a step runs.
        if bound.pieces.is_empty() {
            self.bind_group(&bound, vec![0; bound.tensors.len()]);
        }
        bound
    }

    /// The bind group of a dispatch for a choice of pieces of its tensors.
    fn bind_group(&self, dispatch: &BoundDispatch, pieces: Vec<u32>) -> wgpu::BindGroup {
        if let Some((_, found)) = dispatch.bind_groups.borrow().iter().find(|(others, _)| *others == pieces) {
            return found.clone();
        }
        let bindings = &self.program().bindings;
        let params = self.memory.binding(&self.plan, bindings.op_params, 0, dispatch.len as u64 * BINDING_ALIGNMENT);
        let chunk = self.memory.binding(&self.plan, bindings.chunks, 0, BINDING_ALIGNMENT);
        let tensors = dispatch.tensors.iter().zip(&pieces).map(|(&id, &piece)| {
            let bytes = self.program().tensor(id).piece_bytes(piece);
            self.memory.binding(&self.plan, id, piece, bytes)
        });
        let resources = [params, chunk].into_iter().chain(tensors);
        let entries: Vec<_> = (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let bind_group = self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.label),
            layout: &dispatch.pipeline.bindings,
            entries: &entries,
        });
        dispatch.bind_groups.borrow_mut().push((pieces, bind_group.clone()));
        bind_group
    }

    /// Is the operation a kernel rather than a host copy?
    pub fn has_kernel(&self, instance: &OpInstance) -> bool {
        self.slot(instance).is_some()
    }

    /// Can a submission start with this operation without splitting a fused dispatch?
    pub fn may_start_with(&self, instance: &OpInstance) -> bool {
        self.slot(instance).is_none_or(|slot| slot.fused.is_some())
    }

    fn slot(&self, instance: &OpInstance) -> Option<&Slot> {
        self.blocks[instance.block][instance.node].as_ref()
    }

    /// The number of operations of a block.
    pub fn node_count(&self, block: usize) -> usize {
        self.blocks[block].len()
    }

    /// The first dispatch of `instances`: a fused dispatch if all of its operations are in `instances`, otherwise a single operation.
    fn first_of(&self, instances: &[OpInstance]) -> &BoundDispatch {
        let instance = instances[0];
        let slot = self.slot(&instance).expect("copies stand between submissions");
        let is_whole =
            |fused: &&BoundDispatch| instances.get(fused.len - 1) == Some(&OpInstance { node: instance.node + fused.len - 1, ..instance });
        let alone = || slot.alone.get_or_init(|| self.dispatch_with(&instance, self.gpu.tuning()));
        slot.fused.as_ref().filter(is_whole).unwrap_or_else(alone)
    }

    /// Splits operations into dispatches.
    pub fn spans<'a>(&'a self, mut instances: &'a [OpInstance]) -> impl Iterator<Item = (&'a BoundDispatch, &'a [OpInstance])> {
        std::iter::from_fn(move || {
            let dispatch = (!instances.is_empty()).then(|| self.first_of(instances))?;
            let (span, rest) = instances.split_at(dispatch.len);
            instances = rest;
            Some((dispatch, span))
        })
    }

    /// Encodes operations into a compute pass.
    pub fn encode(&self, pass: &mut wgpu::ComputePass, instances: &[OpInstance]) {
        self.spans(instances).for_each(|(dispatch, span)| self.encode_dispatch(pass, dispatch, span[0], &Part::whole(span[0].chunk)));
    }

    /// The operation of an instance alone, with the kernel of another tuning.
    ///
    /// # Panics
    /// If it is a host copy.
    pub fn dispatch_with(&self, instance: &OpInstance, tuning: &Tuning) -> BoundDispatch {
        let op = self.program().op(instance.block, instance.node);
        let dispatch = kernels::dispatch(self.program(), op, tuning, self.chunk_len(instance.block));
        let (slot, dispatch) = self.slot(instance).zip(dispatch).expect("copies have no kernel");
        self.bind(CompiledDispatch::new(&self.gpu, FusedDispatch::alone(&dispatch), slot.params_offset), instance.block, instance.node)
    }

    /// Encodes a dispatch for a part of the chunk of an instance. The chunk's uniforms must be those of the part.
    pub fn encode_dispatch(
        &self,
        pass: &mut wgpu::ComputePass,
        dispatch: &BoundDispatch,
        OpInstance { block, chunk, .. }: OpInstance,
        part: &Part,
    ) {
        let [x, y, z] = Group::all_workgroups(&dispatch.groups, part);
        let pieces = dispatch.tensors.iter().map(|&id| dispatch.pieces.of_part(id, part)).collect();
        pass.set_pipeline(&dispatch.pipeline.pipeline);
        pass.set_bind_group(0, &self.bind_group(dispatch, pieces), &[dispatch.params_offset, self.chunk_offset(block, chunk)]);
        pass.dispatch_workgroups(x, y, z);
    }

    /// The parts of a dispatch.
    pub fn parts(&self, dispatch: &BoundDispatch, span: &[OpInstance], limit: DispatchLimit) -> Vec<Part> {
        let ops: Vec<&Op> = span.iter().map(|instance| self.program().op(instance.block, instance.node)).collect();
        Whole { program: self.program(), ops: &ops, chunk: span[0].chunk, groups: &dispatch.groups }.parts(limit)
    }

    /// The cost of an operation, for a batch with labels in those tiles.
    pub fn cost(&self, &OpInstance { block, chunk, node }: &OpInstance) -> Cost {
        let program = self.program();
        program.cost_with(&program.blocks[block].nodes[node], chunk, &self.tiles)
    }

    /// The work of operations.
    pub fn work(&self, instances: &[OpInstance]) -> u64 {
        instances.iter().map(|instance| self.cost(instance).work()).sum()
    }

    /// Makes the uniforms of an instance's chunk those of a part, in submissions from now on.
    pub fn write_part(&self, OpInstance { block, chunk, .. }: OpInstance, part: &Part) {
        self.write(
            self.program().bindings.chunks,
            self.chunk_offset(block, chunk).into(),
            bytemuck::cast_slice(&part.uniforms(&self.tiles, self.program().share().first)),
        );
    }

    /// Submits operations, followed by a copy of a range of bytes of a tensor to the start of a staging buffer. A dispatch with more work than
    /// the limit is cut into parts, with a submission for each.
    pub fn submit(
        &self,
        instances: &[OpInstance],
        limit: DispatchLimit,
        copy: Option<(TensorId, Range<u64>, TensorId)>,
    ) -> wgpu::SubmissionIndex {
        let (mut submitted, mut passed) = (0, 0);
        for (dispatch, span) in self.spans(instances) {
            let parts = self.parts(dispatch, span, limit);
            if parts.len() > 1 {
                self.submit_whole(&instances[submitted..passed], None);
                parts.iter().for_each(|part| self.submit_part(dispatch, span[0], part));
                self.write_part(span[0], &Part::whole(span[0].chunk));
                submitted = passed + span.len();
            }
            passed += span.len();
        }
        self.submit_whole(&instances[submitted..], copy)
    }

    fn submit_part(&self, dispatch: &BoundDispatch, instance: OpInstance, part: &Part) {
        self.write_part(instance, part);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.encode_dispatch(&mut encoder.begin_compute_pass(&Default::default()), dispatch, instance, part);
        self.gpu.queue.submit([encoder.finish()]);
    }

    fn submit_whole(&self, instances: &[OpInstance], copy: Option<(TensorId, Range<u64>, TensorId)>) -> wgpu::SubmissionIndex {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.encode(&mut pass, instances);
        }
        if let Some((from, bytes, staging)) = copy {
            self.memory.copy(&self.plan, &mut encoder, from, bytes, self.memory.buffer(&self.plan, staging));
        }
        self.gpu.queue.submit([encoder.finish()])
    }

    /// Tokens of the chunks of a block.
    fn chunk_len(&self, block: usize) -> u32 {
        self.program().blocks[block].chunk_order.chunk_len(self.program().share())
    }

    /// The offset in bytes of a chunk's uniforms in the table of chunks.
    pub fn chunk_offset(&self, block: usize, chunk: Chunk) -> u32 {
        let program = self.program();
        if !program.blocks[block].chunk_order.is_of_batch() {
            return (program.tensor(program.bindings.chunks).row_count - 1) * BINDING_ALIGNMENT as u32;
        }
        let len = self.chunk_len(block);
        let (_, first) = self.chunk_slots.iter().find(|(l, _)| *l == len).expect("every length has its slots");
        (first + chunk.index) * BINDING_ALIGNMENT as u32
    }
}

fn chunk_slots(program: &Program) -> Vec<(u32, u32)> {
    let mut first = 0;
    program
        .chunk_lengths()
        .into_iter()
        .map(|len| {
            let slot = (len, first);
            first += program.share().tokens().div_ceil(len);
            slot
        })
        .collect()
}
