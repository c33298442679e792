//! The operations of a program as dispatches: each once, with what goes together with it, ready to be encoded for any chunk.

use std::cell::OnceCell;
use std::num::NonZeroU64;

use super::executor::Executor;
use super::joint::Joint;
use super::launch::{Access, Grid, Launch};
use super::tuning::Tuning;
use super::{kernels, pipelines};
use crate::step::{BINDING_ALIGNMENT, Block, Op, OpKind, Storage, TensorId, Turn};

/// One operation or several, ready to be encoded.
pub(super) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    params_offset: u32,
    grid: Grid,
    layers: u32,
    /// Operations that it does.
    len: usize,
}

/// What becomes of an operation. What is copied to the host or back has none.
pub(super) struct Slot {
    params_offset: u32,
    /// The operation with those behind it that go together with it, unless it goes together with one in front.
    joint: Option<Dispatch>,
    /// The operation by itself, where it is stepped through.
    alone: OnceCell<Dispatch>,
}

impl Executor {
    /// What is to be written into the table of uniforms, and the dispatches.
    pub(super) fn dispatches(&self) -> (Vec<u8>, Vec<Vec<Option<Slot>>>) {
        let mut params = Vec::new();
        let mut first = 0;
        let slots = |block: &Block| {
            let launches: Vec<Option<Launch>> = block.nodes.iter().map(|node| self.launch(&node.op, self.gpu().tuning())).collect();
            for (i, launch) in (first..).zip(&launches) {
                params.resize(i * BINDING_ALIGNMENT as usize, 0);
                launch.iter().for_each(|launch| params.extend(launch.param_bytes()));
            }
            let slots = self.slots(block, &launches, first as u32 * BINDING_ALIGNMENT as u32);
            first += block.nodes.len();
            slots
        };
        let blocks = self.program().blocks.iter().map(slots).collect();
        (params, blocks)
    }

    /// The slots of a block's operations. What is done ahead goes together with nothing that is not.
    fn slots(&self, block: &Block, launches: &[Option<Launch>], params_offset: u32) -> Vec<Option<Slot>> {
        let mut slots: Vec<Option<Slot>> = Vec::new();
        let offset = |i: usize| params_offset + i as u32 * BINDING_ALIGNMENT as u32;
        while let Some(launch) = launches.get(slots.len()) {
            let i = slots.len();
            if launch.is_none() {
                slots.push(None);
                continue;
            }
            let end = if i < block.lead.nodes { block.lead.nodes } else { launches.len() };
            let together: Vec<(&Op, &Launch)> =
                block.nodes[i..end].iter().zip(&launches[i..end]).map_while(|(node, launch)| Some((&node.op, launch.as_ref()?))).collect();
            let joint = Joint::of(&together, self.gpu().tuning(), |a, b| self.overlap(a, b));
            let slot = |i, joint| Some(Slot { params_offset: offset(i), joint, alone: OnceCell::new() });
            slots.push(slot(i, Some(self.dispatch(&joint, offset(i)))));
            slots.extend((i + 1..i + joint.len()).map(|i| slot(i, None)));
        }
        slots
    }

    fn launch(&self, op: &Op, tuning: &Tuning) -> Option<Launch> {
        (op.kind() != OpKind::Move).then(|| kernels::launch(self.program(), op, tuning))
    }

    /// Do two tensors share memory?
    fn overlap(&self, a: TensorId, b: TensorId) -> bool {
        let [a, b] = [a, b].map(|id| (self.memory().place(id), self.program().tensor(id).bytes()));
        a.0.buffer == b.0.buffer && a.0.offset < b.0.offset + b.1 && b.0.offset < a.0.offset + a.1
    }

    fn dispatch(&self, joint: &Joint, params_offset: u32) -> Dispatch {
        let pipeline = pipelines::pipeline(self.gpu(), joint);
        let bindings = &self.program().bindings;
        let tensors = joint.bindings.iter().map(|&(name, access, id)| {
            let tensor = self.program().tensor(id);
            let is_readable = access == Access::ReadWrite || tensor.storage == Storage::Own;
            assert!(is_readable, "{name}: {} is in the arena, bound to be read", tensor.name);
            self.binding(id, tensor.bytes())
        });
        let params = self.binding(bindings.op_params, joint.len() as u64 * BINDING_ALIGNMENT);
        let resources = [params, self.binding(bindings.chunks, BINDING_ALIGNMENT)].into_iter().chain(tensors);
        let entries: Vec<_> = (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let bind_group = self.gpu().device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(joint.code.label()),
            layout: &pipeline.bindings,
            entries: &entries,
        });
        Dispatch { pipeline: pipeline.pipeline, bind_group, params_offset, grid: joint.grid, layers: joint.layers(), len: joint.len() }
    }

    fn binding(&self, id: TensorId, size: u64) -> wgpu::BindingResource<'_> {
        let place = self.memory().place(id);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.allocation.buffers[place.buffer],
            offset: place.offset,
            size: NonZeroU64::new(size),
        })
    }

    /// Is it done by a shader, and not by a copy?
    pub(super) fn is_dispatched(&self, turn: &Turn) -> bool {
        self.slot(turn).is_some()
    }

    /// Would what is handed to the device up to this turn tear no operations apart that go together?
    pub(super) fn may_start_with(&self, turn: &Turn) -> bool {
        self.slot(turn).is_none_or(|slot| slot.joint.is_some())
    }

    fn slot(&self, turn: &Turn) -> Option<&Slot> {
        self.blocks[turn.block][turn.node].as_ref()
    }

    /// The first dispatch of some turns. Operations go together if all of them are asked for.
    fn first_of(&self, turns: &[Turn]) -> &Dispatch {
        let turn = turns[0];
        let slot = self.slot(&turn).expect("copies stand between submissions");
        let is_whole = |joint: &&Dispatch| turns.get(joint.len - 1) == Some(&Turn { node: turn.node + joint.len - 1, ..turn });
        slot.joint.as_ref().filter(is_whole).unwrap_or_else(|| slot.alone.get_or_init(|| self.dispatch_with(&turn, self.gpu().tuning())))
    }

    /// Turns by dispatches.
    pub(super) fn spans<'a>(&'a self, mut turns: &'a [Turn]) -> impl Iterator<Item = (&'a Dispatch, &'a [Turn])> {
        std::iter::from_fn(move || {
            let dispatch = (!turns.is_empty()).then(|| self.first_of(turns))?;
            let (span, rest) = turns.split_at(dispatch.len);
            turns = rest;
            Some((dispatch, span))
        })
    }

    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass, turns: &[Turn]) {
        self.spans(turns).for_each(|(dispatch, span)| self.encode_dispatch(pass, dispatch, span[0]));
    }

    /// The operation of a turn by itself, with the kernel of some tuning.
    pub(super) fn dispatch_with(&self, turn: &Turn, tuning: &Tuning) -> Dispatch {
        let slot = self.slot(turn).expect("copies have no kernel");
        let launch = kernels::launch(self.program(), &self.program().blocks[turn.block].nodes[turn.node].op, tuning);
        self.dispatch(&Joint::alone(&launch), slot.params_offset)
    }

    pub(super) fn encode_dispatch(&self, pass: &mut wgpu::ComputePass, dispatch: &Dispatch, Turn { block, chunk, .. }: Turn) {
        let [x, y, z] = dispatch.grid.workgroups(chunk);
        pass.set_pipeline(&dispatch.pipeline);
        pass.set_bind_group(0, &dispatch.bind_group, &[dispatch.params_offset, self.chunk_offset(block, chunk)]);
        pass.dispatch_workgroups(x, y, z * dispatch.layers);
    }
}
