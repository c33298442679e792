//! Lowering: turns the operations of a plan into kernels. Each operation becomes a dispatch, adjacent dispatches are fused, and all are
//! compiled.

use std::collections::VecDeque;
use std::sync::Arc;

use super::device::Gpu;
use super::dispatch::{Dispatch, Iterations};
use super::fusion::FusedDispatch;
use super::kernels;
use super::pipelines::Pipeline;
use super::tuning::Tuning;
use crate::error::{Error, Result};
use crate::step::{BINDING_ALIGNMENT, Block, Node, Op, Plan, Program, TOKEN_TILE};

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

/// Kernels that are being compiled at a time. Firefox tells only ten times a second what is done; natively, the program compiles itself.
const MOST_COMPILING: usize = if cfg!(target_arch = "wasm32") { 8 } else { 1 };

impl Kernels {
    /// Lowers, fuses and compiles all operations of a plan for the tuning of `gpu`.
    ///
    /// # Errors
    /// If the device was lost or has reported an error, or if the driver would not run all iterations of a loop.
    pub fn new(gpu: &Gpu, plan: Plan) -> Result<Self> {
        let blocks = lower(gpu, &plan)?;
        assemble(gpu, plan, blocks)
    }

    /// The same as [`Kernels::new`] for a program that has somebody waiting: `progress` is given how many kernels are compiled, of all.
    ///
    /// # Errors
    /// As [`Kernels::new`].
    pub async fn new_with_progress(gpu: &Gpu, plan: Plan, progress: impl Fn(u32, u32)) -> Result<Self> {
        let blocks = lower(gpu, &plan)?;
        let missing = gpu.pipelines.missing(blocks.iter().flat_map(|block| &block.fused).map(|(_, dispatch)| dispatch));
        let count = missing.len() as u32;
        let mut missing = missing.into_iter();
        let compile = |dispatch| {
            gpu.pipelines.get(&gpu.device, dispatch);
            gpu.when_done(gpu.queue.submit([]))
        };
        let mut compiling: VecDeque<_> = missing.by_ref().take(MOST_COMPILING).map(compile).collect();
        let mut done = 0;
        while let Some(next) = compiling.pop_front() {
            progress(done, count);
            gpu.wait_for(next).await?;
            done += 1;
            compiling.extend(missing.next().map(compile));
        }
        assemble(gpu, plan, blocks)
    }
}

/// The dispatches of a block, not compiled yet.
pub(super) struct LoweredBlock {
    /// That of each operation, alone. Host copies have none.
    single: Vec<Option<Dispatch>>,
    /// Of each operation: is it for tokens with labels only?
    labelled_only: Vec<bool>,
    /// Those that run, each with the index of its first operation.
    pub fused: Vec<(usize, FusedDispatch)>,
}

/// The dispatches of all blocks.
///
/// # Errors
/// If the driver would not run all iterations of a loop.
fn lower(gpu: &Gpu, plan: &Plan) -> Result<Vec<LoweredBlock>> {
    let share = plan.program().share();
    let lower = |block: &Block| {
        let lowered = lower_block(plan.program(), block, gpu.tuning());
        lowered.single.iter().flatten().try_for_each(|dispatch| check_loops(gpu, dispatch, block.chunk_order.chunk_len(share)))?;
        Ok(lowered)
    };
    plan.program().blocks.iter().map(lower).collect()
}

/// The dispatches of a block for a tuning.
pub(super) fn lower_block(program: &Program, block: &Block, tuning: &Tuning) -> LoweredBlock {
    let chunk_len = block.chunk_order.chunk_len(program.share());
    let dispatch = |node: &Node| kernels::dispatch(program, &node.op, tuning, chunk_len);
    let single: Vec<Option<Dispatch>> = block.nodes.iter().map(dispatch).collect();
    let labelled_only = block.nodes.iter().map(|node| node.labelled_only).collect();
    LoweredBlock { fused: fuse(block, &single, tuning), single, labelled_only }
}

/// Compiles what is not compiled yet, and gives every operation its slot of uniforms.
fn assemble(gpu: &Gpu, plan: Plan, blocks: Vec<LoweredBlock>) -> Result<Kernels> {
    let mut params = Vec::new();
    let mut slot = 0;
    let mut assemble_block = |LoweredBlock { single, labelled_only, fused }: LoweredBlock| {
        let mut ops = Vec::with_capacity(single.len());
        for (dispatch, labelled_only) in single.iter().zip(labelled_only) {
            params.resize(slot * BINDING_ALIGNMENT as usize, 0);
            dispatch.iter().for_each(|dispatch| params.extend(dispatch.param_bytes(labelled_only)));
            let params_offset = slot as u32 * BINDING_ALIGNMENT as u32;
            ops.push(dispatch.as_ref().map(|_| LoweredOp { params_offset, fused: None }));
            slot += 1;
        }
        for (first, dispatch) in fused {
            let op = ops[first].as_mut().expect("what is fused has a dispatch");
            op.fused = Some(CompiledDispatch::new(gpu, dispatch, op.params_offset));
        }
        ops
    };
    let blocks = blocks.into_iter().map(&mut assemble_block).collect();
    gpu.check()?;
    Ok(Kernels { gpu: gpu.clone(), plan: Arc::new(plan), blocks, params })
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

/// Fuses the dispatches of a block, as far as its runs go: each with the index of its first operation.
fn fuse(block: &Block, dispatches: &[Option<Dispatch>], tuning: &Tuning) -> Vec<(usize, FusedDispatch)> {
    let mut fused = Vec::new();
    for mut run in block.runs() {
        // Host copies have no dispatch, and each is a run of its own.
        while let Some(first) = run.clone().next().filter(|&first| dispatches[first].is_some()) {
            let neighbours = block.nodes[run.clone()].iter().zip(&dispatches[run.clone()]);
            let neighbours: Vec<(&Op, &Dispatch)> =
                neighbours.filter_map(|(node, dispatch)| Some((&node.op, dispatch.as_ref()?))).collect();
            let dispatch = FusedDispatch::of(&neighbours, tuning);
            run.start += dispatch.len();
            fused.push((first, dispatch));
        }
    }
    fused
}
