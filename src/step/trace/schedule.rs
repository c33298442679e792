//! Which tensor comes and goes at which operation, once or for every chunk.

use std::cmp::Reverse;

use crate::step::{Memory, Moment, Program, Rows, TensorId};

/// An `alloc`, and a free in two parts.
const EVENTS_OF_A_LIFE: u64 = 3;

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
    pub fn new(program: &Program, memory: &Memory) -> Self {
        let mut blocks: Vec<Vec<Changes>> = program.blocks.iter().map(|b| vec![Changes::default(); b.nodes.len()]).collect();
        let mut always = Vec::new();
        let mut lives = Vec::new();
        // Two empty blocks of one address would be one block to the page.
        for (id, tensor) in program.tensors().filter(|&(id, _)| memory.reserved(id) > 0) {
            match memory.life(id) {
                None => always.push(id),
                Some([start, end]) => {
                    let is_each = matches!(tensor.rows, Rows::Chunk(_)) && start.block == end.block;
                    lives.push((start, end, Change { tensor: id, is_each }));
                }
            }
        }
        // The page draws blocks on top of one another in the order in which they come, so what goes last comes first.
        lives.sort_by_key(|(start, end, change)| (at(start), change.is_each, Reverse(at(end)), change.tensor));
        for &(start, _, change) in &lives {
            blocks[start.block][start.node].born.push(change);
        }
        for &(_, end, change) in lives.iter().rev() {
            blocks[end.block][end.node].dead.push(change);
        }
        Schedule { blocks, always }
    }

    /// Tensors of a block that come and go with every chunk.
    pub fn lives_of_a_chunk(&self, block: usize) -> u64 {
        self.blocks[block].iter().map(|changes| changes.born.iter().filter(|c| c.is_each).count() as u64).sum()
    }

    /// Chunks of a walk that are shown, so that the events are not too many: the first and the last in any case.
    pub fn kept_chunks(&self, program: &Program, memory: &Memory, most_events: u64) -> u32 {
        let walks: Vec<(u64, u32)> =
            program.blocks.iter().enumerate().map(|(i, b)| (self.lives_of_a_chunk(i), b.rounds(program.tokens()))).collect();
        let once = self.always.len() + self.blocks.iter().flatten().flat_map(|c| &c.born).filter(|c| !c.is_each).count();
        let fixed = memory.buffers().len() as u64 + EVENTS_OF_A_LIFE * once as u64;
        let events =
            |kept: u32| fixed + walks.iter().map(|&(lives, count)| EVENTS_OF_A_LIFE * lives * u64::from(count.min(kept))).sum::<u64>();
        let (mut fits, mut most) = (2, walks.iter().map(|&(_, count)| count).max().unwrap_or(0).max(2));
        while fits < most {
            let middle = most - (most - fits) / 2;
            if events(middle) <= most_events { fits = middle } else { most = middle - 1 }
        }
        fits
    }
}

fn at(moment: &Moment) -> (usize, usize) {
    (moment.block, moment.node)
}
