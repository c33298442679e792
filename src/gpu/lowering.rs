//! Lowering: turns the operations of a plan into kernels. Each operation becomes a dispatch, adjacent dispatches are fused, and all are
//! compiled.

use std::sync::Arc;

use super::device::Gpu;
use super::dispatch::{Dispatch, Iterations};
use super::fusion::FusedDispatch;
use super::kernels;
use super::pipelines::Pipeline;
use crate::error::{Error, Result};
use crate::step::{BINDING_ALIGNMENT, Block, Op, Plan, TOKEN_TILE, TensorId};

/// The kernels of a plan, compiled for an adapter.
pub struct Kernels {
    pub(super) gpu: Gpu,
    pub(super) plan: Arc<Plan>,
    /// The operations of each block. Host copies have no kernel.
    pub(super) blocks: Vec<Vec<Option<LoweredOp>>>,
    /// The table of uniforms, with a slot per operation.
    pub(super) params: Vec<u8>,
}

/// The kernel of an operation.
pub(super) struct LoweredOp {
    /// The offset of its uniform slot in the table, in bytes.
    pub params_offset: u32,
    /// The dispatch of the operation and the later ones that are fused with it. `None` if it is fused with an earlier one.
    pub fused: Option<CompiledDispatch>,
}

/// A dispatch with its pipeline.
pub(super) struct CompiledDispatch {
    pub dispatch: FusedDispatch,
    pub pipeline: Pipeline,
    pub params_offset: u32,
}

impl CompiledDispatch {
    /// Compiles a dispatch, or takes its pipeline from the device's cache.
    pub fn new(gpu: &Gpu, dispatch: FusedDispatch, params_offset: u32) -> Self {
        let pipeline = gpu.pipelines.get(&gpu.device, &dispatch);
        CompiledDispatch { dispatch, pipeline, params_offset }
    }
}

impl Kernels {
    /// Lowers, fuses and compiles all operations of a plan for the tuning of `gpu`.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub fn new(gpu: &Gpu, plan: Plan) -> Result<Self> {
        let tokens = plan.program().tokens();
        let mut params = Vec::new();
        let mut first = 0;
        let lower = |block: &Block| {
            let dispatches = dispatches(gpu, &plan, block);
            dispatches.iter().flatten().try_for_each(|dispatch| check_loops(gpu, dispatch, block.chunk_order.chunk_len(tokens)))?;
            for (i, dispatch) in (first..).zip(&dispatches) {
                params.resize(i * BINDING_ALIGNMENT as usize, 0);
                dispatch.iter().for_each(|dispatch| params.extend(dispatch.param_bytes()));
            }
            let ops = lower_block(gpu, &plan, block, &dispatches, first as u32 * BINDING_ALIGNMENT as u32);
            first += block.nodes.len();
            Ok(ops)
        };
        let blocks = plan.program().blocks.iter().map(lower).collect::<Result<_>>()?;
        gpu.check()?;
        Ok(Kernels { gpu: gpu.clone(), plan: Arc::new(plan), blocks, params })
    }

    /// The same as [`Kernels::new`] for a program that has somebody waiting: the kernels are compiled one after the other, and `progress` is
    /// given how many are compiled, of all.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn new_with_progress(gpu: &Gpu, plan: Plan, progress: impl Fn(u32, u32)) -> Result<Self> {
        let blocks = plan.program().blocks.iter();
        let all = blocks.flat_map(|block| fuse_block(gpu, &plan, block, &dispatches(gpu, &plan, block)));
        let missing = gpu.pipelines.missing(all.map(|(_, dispatch)| dispatch));
        let count = missing.len() as u32;
        for (done, dispatch) in (0..).zip(&missing) {
            progress(done, count);
            gpu.pipelines.get(&gpu.device, dispatch);
            gpu.wait().await?;
        }
        Self::new(gpu, plan)
    }
}

/// Does the driver run all iterations of a dispatch's loops for a chunk of that many tokens?
fn check_loops(gpu: &Gpu, dispatch: &Dispatch, chunk_len: u32) -> Result<()> {
    let most = gpu.tuning().most_iterations();
    let Iterations { of_tile, of_batch } = dispatch.iterations;
    if of_batch + of_tile * u64::from(chunk_len.div_ceil(TOKEN_TILE)) <= most {
        return Ok(());
    }
    let advice = match most.saturating_sub(of_batch).checked_div(of_tile) {
        Some(tiles @ 1..) => format!("use stream, with chunks of at most {} tokens", tiles * u64::from(TOKEN_TILE)),
        _ => "use shorter sequences".to_owned(),
    };
    Err(Error::LoopTooLong { adapter: gpu.name().to_owned(), operation: dispatch.shader.kind.stem(), advice })
}

/// The dispatches of a block: each with the index of its first operation. Lookahead operations are not fused with the rest, since they run
/// for another chunk.
fn fuse_block(gpu: &Gpu, plan: &Plan, block: &Block, dispatches: &[Option<Dispatch>]) -> Vec<(usize, FusedDispatch)> {
    let mut fused = Vec::new();
    let mut i = 0;
    while i < dispatches.len() {
        let end = if i < block.lookahead.nodes { block.lookahead.nodes } else { dispatches.len() };
        let neighbours = block.nodes[i..end].iter().zip(&dispatches[i..end]);
        let neighbours: Vec<(&Op, &Dispatch)> = neighbours.map_while(|(node, dispatch)| Some((&node.op, dispatch.as_ref()?))).collect();
        if neighbours.is_empty() {
            i += 1;
            continue;
        }
        let dispatch = FusedDispatch::of(&neighbours, gpu.tuning(), |a, b| overlap(plan, a, b));
        let next = i + dispatch.len();
        fused.push((i, dispatch));
        i = next;
    }
    fused
}

/// The kernels of a block, and nothing in the place of a host copy.
fn lower_block(gpu: &Gpu, plan: &Plan, block: &Block, dispatches: &[Option<Dispatch>], first_offset: u32) -> Vec<Option<LoweredOp>> {
    let offset = |i: usize| first_offset + i as u32 * BINDING_ALIGNMENT as u32;
    let op = |(i, dispatch): (usize, &Option<Dispatch>)| dispatch.as_ref().map(|_| LoweredOp { params_offset: offset(i), fused: None });
    let mut ops: Vec<Option<LoweredOp>> = dispatches.iter().enumerate().map(op).collect();
    for (i, dispatch) in fuse_block(gpu, plan, block, dispatches) {
        ops[i] = Some(LoweredOp { params_offset: offset(i), fused: Some(CompiledDispatch::new(gpu, dispatch, offset(i))) });
    }
    ops
}

/// The dispatches of a block's operations, each alone. Host copies have none.
fn dispatches(gpu: &Gpu, plan: &Plan, block: &Block) -> Vec<Option<Dispatch>> {
    block.nodes.iter().map(|node| kernels::dispatch(plan.program(), &node.op, gpu.tuning())).collect()
}

/// Do two tensors share memory?
fn overlap(plan: &Plan, a: TensorId, b: TensorId) -> bool {
    let [a, b] = [a, b].map(|id| (plan.allocation(id), plan.program().tensor(id).bytes()));
    a.0.buffer == b.0.buffer && a.0.offset < b.0.offset + b.1 && b.0.offset < a.0.offset + a.1
}
