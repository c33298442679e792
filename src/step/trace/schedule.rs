//! Which tensor comes and goes at which operation, once or for every chunk.

use std::cmp::Reverse;

use crate::step::memory_layout::ProgramPoint;
use crate::step::plan::Plan;
use crate::step::tensor::{Rows, TensorId};

/// An `alloc`, and a free in two parts.
const EVENTS_OF_A_RANGE: u64 = 3;

/// A tensor that comes or goes at an operation.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub tensor: TensorId,
    /// For every chunk, or else at the first (or the last) one.
    pub is_each: bool,
}

#[derive(Clone, Default)]
pub(super) struct Changes {
    pub born: Vec<Change>,
    pub dead: Vec<Change>,
}

/// What comes and goes at each operation of each block.
pub(super) struct Schedule {
    pub blocks: Vec<Vec<Changes>>,
    /// Tensors that are there all the time.
    pub always: Vec<TensorId>,
}

impl Schedule {
    pub fn new(plan: &Plan) -> Self {
        let program = plan.program();
        let mut blocks: Vec<Vec<Changes>> = program.blocks.iter().map(|b| vec![Changes::default(); b.nodes.len()]).collect();
        let mut always = Vec::new();
        let mut live_ranges = Vec::new();
        // Two empty blocks of one address would be one block to the page.
        for (id, tensor) in program.tensors().filter(|&(id, _)| plan.reserved(id) > 0) {
            match plan.live_range(id) {
                None => always.push(id),
                Some([start, end]) => {
                    let is_each = tensor.rows == Rows::Chunk && start.block == end.block;
                    live_ranges.push((start, end, Change { tensor: id, is_each }));
                }
            }
        }
        // The page draws blocks on top of one another in the order in which they come, so what goes last comes first.
        live_ranges.sort_by_key(|(start, end, change)| (at(start), change.is_each, Reverse(at(end)), change.tensor));
        for &(start, _, change) in &live_ranges {
            blocks[start.block][start.node].born.push(change);
        }
        for &(_, end, change) in live_ranges.iter().rev() {
            blocks[end.block][end.node].dead.push(change);
        }
        Schedule { blocks, always }
    }

    /// Tensors of a block that come and go with every chunk.
    pub fn ranges_of_a_chunk(&self, block: usize) -> u64 {
        self.blocks[block].iter().map(|changes| changes.born.iter().filter(|c| c.is_each).count() as u64).sum()
    }

    /// Chunks of a block that are shown, so that the events are not too many: the first and the last in any case.
    pub fn kept_chunks(&self, plan: &Plan, most_events: u64) -> u32 {
        let program = plan.program();
        let blocks: Vec<(u64, u32)> =
            program.blocks.iter().enumerate().map(|(i, b)| (self.ranges_of_a_chunk(i), b.rounds(program.tokens()))).collect();
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
