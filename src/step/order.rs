//! A step in the order in which it runs: every operation for every chunk, numbered from 0.

use std::ops::{Range, RangeInclusive};

use super::{Block, Chunk, Pass, Program};

/// An operation of a block, for one chunk of its walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The place of the block in [`Program::blocks`].
    pub block: usize,
    /// The chunk.
    pub chunk: Chunk,
    /// The place of the operation in the block.
    pub node: usize,
}

/// How far to go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stride {
    /// One operation for one chunk.
    Operation,
    /// All operations of a block for one chunk.
    Chunk,
    /// All that a pass does in one layer.
    Layer,
    /// The rest of the pass.
    Pass,
    /// The rest of the step.
    Step,
}

impl Stride {
    /// All of them, the shortest first.
    pub const ALL: [Stride; 5] = [Stride::Operation, Stride::Chunk, Stride::Layer, Stride::Pass, Stride::Step];

    /// The name on the page.
    pub fn name(self) -> &'static str {
        match self {
            Stride::Operation => "operation",
            Stride::Chunk => "chunk",
            Stride::Layer => "layer",
            Stride::Pass => "pass",
            Stride::Step => "step",
        }
    }
}

impl Program {
    /// Turns of the whole step.
    pub fn turn_count(&self) -> u64 {
        self.blocks.iter().map(|block| self.turns_of(block)).sum()
    }

    /// The numbers of the turns of some passes.
    pub fn span(&self, passes: RangeInclusive<Pass>) -> Range<u64> {
        let before: u64 = self.blocks.iter().filter(|b| b.pass < *passes.start()).map(|b| self.turns_of(b)).sum();
        let inside: u64 = self.blocks.iter().filter(|b| passes.contains(&b.pass)).map(|b| self.turns_of(b)).sum();
        before..before + inside
    }

    /// Turns by their numbers.
    pub fn turns(&self, numbers: Range<u64>) -> impl Iterator<Item = Turn> {
        let (first, mut chunk, mut node) = self.locate(numbers.start);
        let left = numbers.end.saturating_sub(numbers.start) as usize;
        let blocks = self.blocks.iter().enumerate().skip(first);
        let all = blocks.flat_map(move |(index, block)| {
            // Only the first block is entered in its middle.
            let (chunks_done, mut nodes_done) = (std::mem::take(&mut chunk), std::mem::take(&mut node));
            block.walk.chunks(self.tokens()).skip(chunks_done as usize).flat_map(move |chunk| {
                let from = std::mem::take(&mut nodes_done);
                (from..block.nodes.len()).map(move |node| Turn { block: index, chunk, node })
            })
        });
        all.take(left)
    }

    /// The turn of that number.
    ///
    /// # Panics
    /// If the step has no more than so many turns.
    pub fn turn(&self, number: u64) -> Turn {
        self.turns(number..number + 1).next().unwrap_or_else(|| panic!("turn {number} of {}", self.turn_count()))
    }

    /// The number of a turn.
    pub fn turn_number(&self, turn: Turn) -> u64 {
        let before: u64 = self.blocks[..turn.block].iter().map(|block| self.turns_of(block)).sum();
        let block = &self.blocks[turn.block];
        let order = block.walk.order(turn.chunk.index, self.tokens());
        before + u64::from(order) * block.nodes.len() as u64 + turn.node as u64
    }

    /// Where a stride that begins at a turn ends: the number of the first turn that is no part of it.
    pub fn stride_end(&self, from: u64, stride: Stride) -> u64 {
        let all = self.turn_count();
        if from >= all {
            return all;
        }
        let turn = self.turn(from);
        let block = &self.blocks[turn.block];
        let is_same = |other: &Block| match stride {
            Stride::Layer => (other.pass, other.layer) == (block.pass, block.layer),
            Stride::Pass => other.pass == block.pass,
            Stride::Operation | Stride::Chunk | Stride::Step => false,
        };
        match stride {
            Stride::Operation => from + 1,
            Stride::Chunk => from + (block.nodes.len() - turn.node) as u64,
            Stride::Step => all,
            Stride::Layer | Stride::Pass => {
                let start = self.turn_number(Turn { node: 0, chunk: self.first_chunk(block), ..turn });
                start + self.blocks[turn.block..].iter().take_while(|b| is_same(b)).map(|b| self.turns_of(b)).sum::<u64>()
            }
        }
    }

    fn first_chunk(&self, block: &Block) -> Chunk {
        block.walk.chunks(self.tokens()).next().expect("a batch has a token")
    }

    fn turns_of(&self, block: &Block) -> u64 {
        u64::from(block.walk.chunk_count(self.tokens())) * block.nodes.len() as u64
    }

    /// The block of a turn, with its chunks and the operations of its own chunk that come before.
    fn locate(&self, number: u64) -> (usize, u64, usize) {
        let mut left = number;
        for (index, block) in self.blocks.iter().enumerate() {
            let turns = self.turns_of(block);
            if left < turns {
                let nodes = block.nodes.len() as u64;
                return (index, left / nodes, (left % nodes) as usize);
            }
            left -= turns;
        }
        (self.blocks.len(), 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;
    use crate::step::{BatchShape, Strategy};

    fn program() -> Program {
        Program::train(&PRESETS[0].config, BatchShape::uniform(1, 300), Strategy::stream(64, 128))
    }

    #[test]
    fn turns_are_the_chunks_of_each_block_in_the_order_of_its_walk() {
        let program = program();
        let mut number = 0;
        for (block, b) in program.blocks.iter().enumerate() {
            for chunk in b.walk.chunks(300) {
                for node in 0..b.nodes.len() {
                    let turn = Turn { block, chunk, node };
                    assert_eq!((program.turn(number), program.turn_number(turn)), (turn, number));
                    number += 1;
                }
            }
        }
        assert_eq!((program.turn_count(), program.turns(0..number + 9).count() as u64), (number, number));
        let middle: Vec<Turn> = program.turns(70..500).collect();
        assert!(middle.iter().zip(70..).all(|(&turn, number)| turn == program.turn(number)));
    }

    #[test]
    fn spans_follow_one_another() {
        let program = program();
        let passes = [Pass::Clear, Pass::Forward, Pass::Loss, Pass::Backward, Pass::Update];
        let ends: Vec<Range<u64>> = passes.map(|pass| program.span(pass..=pass)).to_vec();
        assert!(ends.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(program.span(Pass::Clear..=Pass::Update), 0..program.turn_count());
        for (pass, span) in passes.into_iter().zip(ends) {
            assert!(program.turns(span).all(|turn| program.blocks[turn.block].pass == pass));
        }
    }

    #[test]
    fn a_stride_ends_where_what_it_is_named_for_changes() {
        let program = program();
        let key = |number: u64, stride| {
            let turn = program.turn(number);
            let block = &program.blocks[turn.block];
            let place = (turn.block, turn.chunk.index);
            match stride {
                Stride::Operation => (block.pass, block.layer, place, turn.node),
                Stride::Chunk => (block.pass, block.layer, place, 0),
                Stride::Layer => (block.pass, block.layer, (0, 0), 0),
                Stride::Pass => (block.pass, None, (0, 0), 0),
                Stride::Step => (Pass::Clear, None, (0, 0), 0),
            }
        };
        for stride in Stride::ALL {
            for from in [0, 1, 60, 77, 400, program.turn_count() - 1] {
                let end = program.stride_end(from, stride);
                assert!((from..end).all(|number| key(number, stride) == key(from, stride)), "{stride:?} from {from}");
                assert!(end == program.turn_count() || key(end, stride) != key(from, stride), "{stride:?} from {from}");
            }
        }
    }
}
