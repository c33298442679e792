//! The allocations and frees at each operation of each block, once or for every chunk.

use std::cmp::Reverse;

use crate::step::memory_layout::ProgramPoint;
use crate::step::plan::Plan;
use crate::step::tensor::{Rows, TensorId};

/// Events of a live range: `alloc`, `free_requested` and `free_completed`.
const EVENTS_OF_A_RANGE: u64 = 3;

/// An allocation or a free at an operation.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub tensor: TensorId,
    /// For every chunk? Otherwise an allocation happens for the first chunk, a free for the last.
    pub is_each: bool,
}

#[derive(Clone, Default)]
pub(super) struct Changes {
    pub born: Vec<Change>,
    pub dead: Vec<Change>,
}

/// The allocations and frees at each operation of each block.
pub(super) struct Schedule {
    pub blocks: Vec<Vec<Changes>>,
    /// Tensors that are always alive.
    pub always: Vec<TensorId>,
}

impl Schedule {
    pub fn new(plan: &Plan) -> Self {
        let program = plan.program();
        let mut blocks: Vec<Vec<Changes>> = program.blocks.iter().map(|b| vec![Changes::default(); b.nodes.len()]).collect();
        let mut always = Vec::new();
        let mut live_ranges = Vec::new();
        // The page would take two empty blocks at one address for one block.
        for (id, tensor) in program.tensors().filter(|&(id, _)| plan.reserved(id) > 0) {
            match plan.live_range(id) {
                None => always.push(id),
                Some([start, end]) => {
                    let is_each = tensor.rows == Rows::Chunk && start.block == end.block;
                    live_ranges.push((start, end, Change { tensor: id, is_each }));
                }
            }
        }
        // The page stacks blocks in the order of their allocation, so the block that is freed last comes first.
        live_ranges.sort_by_key(|(start, end, change)| (at(start), change.is_each, Reverse(at(end)), change.tensor));
        for &(start, _, change) in &live_ranges {
            blocks[start.block][start.node].born.push(change);
        }
        for &(_, end, change) in live_ranges.iter().rev() {
            blocks[end.block][end.node].dead.push(change);
        }
        Schedule { blocks, always }
    }

    /// The number of tensors of a block that are allocated and freed for every chunk.
    pub fn ranges_of_a_chunk(&self, block: usize) -> u64 {
        self.blocks[block].iter().map(|changes| changes.born.iter().filter(|c| c.is_each).count() as u64).sum()
    }

    /// The number of chunks to show per block, so that there are at most `most_events` events; never fewer than the first and the last.
    pub fn kept_chunks(&self, plan: &Plan, most_events: u64) -> u32 {
        let program = plan.program();
        let blocks: Vec<(u64, u32)> =
            program.blocks.iter().enumerate().map(|(i, b)| (self.ranges_of_a_chunk(i), b.rounds(program.share()))).collect();
        let once = self.always.len() + self.blocks.iter().flatten().flat_map(|c| &c.born).filter(|c| !c.is_each).count();
        let fixed = plan.buffers().len() as u64 + EVENTS_OF_A_RANGE * once as u64;
        let events = |kept: u32| {
            fixed + blocks.iter().map(|&(live_ranges, count)| EVENTS_OF_A_RANGE * live_ranges * u64::from(count.min(kept))).sum::<u64>()
        };
        let (mut fits, mut most) = (2, blocks.iter().map(|&(_, count)| count).max().unwrap_or(0).max(2));
        while fits < most {
            let middle = most - (most - fits) / 2;
            if events(middle) <= most_events { fits = middle } else { most = middle - 1 }
        }
        fits
    }
}

fn at(point: &ProgramPoint) -> (usize, usize) {
    (point.block, point.node)
}
