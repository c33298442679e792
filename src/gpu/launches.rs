//! Launch data: the dispatches of a step, as far as their times depend on it. Nothing runs for it.

use super::dispatch::{Grid, Group};
use super::fusion::FusedDispatch;
use super::lowering::{LoweredBlock, lower_block};
use super::part::Part;
use super::tuning::Tuning;
use crate::step::{Block, Chunk, Cost, Op, OpKind, Program, TOKEN_TILE};

/// A dispatch of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Launch {
    /// The kind of its operations.
    pub kind: OpKind,
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: f64,
    /// Bytes read and written if every operand is touched exactly once.
    pub bytes: f64,
    /// The floating-point operations of the workgroup that has the most.
    pub longest: f64,
}

/// A block with its dispatches.
pub(super) struct BlockLaunches<'a> {
    program: &'a Program,
    block: &'a Block,
    lowered: LoweredBlock,
}

impl<'a> BlockLaunches<'a> {
    pub fn new(program: &'a Program, block: &'a Block, tuning: &Tuning) -> Self {
        BlockLaunches { program, block, lowered: lower_block(program, block, tuning) }
    }

    pub fn chunk_count(&self) -> u32 {
        self.block.chunk_order.chunk_count(self.program.share())
    }

    /// The chunk that runs after `order` others.
    pub fn of_chunk(&self, order: u32) -> impl Iterator<Item = Launch> {
        let chunk = self.block.chunk_order.chunk(order, self.program.share());
        self.lowered.fused.iter().map(move |(first, dispatch)| self.launch(*first, dispatch, chunk))
    }

    fn launch(&self, first: usize, dispatch: &FusedDispatch, chunk: Chunk) -> Launch {
        let nodes = &self.block.nodes[first..first + dispatch.len()];
        let mut cost = Cost::default();
        nodes.iter().for_each(|node| cost += self.program.cost(&node.op, chunk));
        let of_group = |group: &Group| {
            group.ops.iter().map(|&place| longest_workgroup(self.program, &nodes[place].op, group.grid, chunk)).sum::<f64>()
        };
        let longest = dispatch.groups().iter().map(of_group).fold(0.0, f64::max);
        Launch { kind: nodes[0].op.kind(), flops: cost.flops as f64, bytes: cost.bytes as f64, longest }
    }
}

/// The floating-point operations of the workgroup of an operation that has the most.
fn longest_workgroup(program: &Program, op: &Op, grid: Grid, chunk: Chunk) -> f64 {
    let flops = program.flops(op, chunk) as f64;
    let mean = flops / grid.workgroups(&Part::whole(chunk)).into_iter().map(f64::from).product::<f64>().max(1.0);
    match (op.kind(), grid) {
        // The last token tile sees the most keys.
        (OpKind::Attention | OpKind::AttentionQueryGrad, Grid::TokenTiles(others)) => {
            let before = (chunk.count - 1) / TOKEN_TILE * TOKEN_TILE;
            let last = Chunk { start: chunk.start + before, count: chunk.count - before, ..chunk };
            program.flops(op, last) as f64 / f64::from(others)
        }
        // The first key tile is seen by all queries of the chunk, within its window.
        (_, Grid::KeyTiles { window, others }) => {
            let pairs = program.batch.visible_pairs(chunk.start..chunk.end(), op.window()) as f64;
            let of_tile = f64::from(chunk.count.min(window.saturating_add(TOKEN_TILE))) * f64::from(TOKEN_TILE);
            (flops * of_tile / pairs.max(1.0) / f64::from(others)).min(flops / f64::from(others))
        }
        _ => mean,
    }
}
