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
    /// All operations of a block that a chunk has in a row.
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
        let (first, mut round, mut place) = self.locate(numbers.start);
        let left = numbers.end.saturating_sub(numbers.start) as usize;
        let blocks = self.blocks.iter().enumerate().skip(first);
        let all = blocks.flat_map(move |(index, block)| {
            // Only the first block is entered in its middle.
            let (rounds_done, mut turns_done) = (std::mem::take(&mut round), std::mem::take(&mut place));
            (rounds_done..block.rounds(self.tokens())).flat_map(move |round| {
                let from = std::mem::take(&mut turns_done);
                block.round(round, self.tokens()).skip(from).map(move |(chunk, node)| Turn { block: index, chunk, node })
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
        let (block, tokens) = (&self.blocks[turn.block], self.tokens());
        let round = block.walk.order(turn.chunk.index, tokens) + if turn.node < block.lead.nodes { 0 } else { block.lead.chunks };
        // In the last rounds what leads is done.
        let first = if round < block.walk.chunk_count(tokens) { 0 } else { block.lead.nodes };
        before + block.turns_before(round, tokens) + (turn.node - first) as u64
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
            Stride::Chunk => {
                let end = if turn.node < block.lead.nodes { block.lead.nodes } else { block.nodes.len() };
                from + (end - turn.node) as u64
            }
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

    /// The block of a turn, with its rounds and the turns of its own round that come before.
    fn locate(&self, number: u64) -> (usize, u32, usize) {
        let mut left = number;
        for (index, block) in self.blocks.iter().enumerate() {
            let turns = self.turns_of(block);
            if left < turns {
                let (round, place) = block.round_at(left, self.tokens());
                return (index, round, place);
            }
            left -= turns;
        }
        (self.blocks.len(), 0, 0)
    }
}

impl Block {
    /// Rounds of the block. In each, what leads is done for a chunk and then the rest for the chunk that led some rounds ago; the first
    /// rounds have only the former, the last ones only the latter.
    pub(super) fn rounds(&self, tokens: u32) -> u32 {
        self.walk.chunk_count(tokens) + self.lead.chunks
    }

    /// The turns of a round: operations by their places, each with its chunk.
    pub(super) fn round(&self, round: u32, tokens: u32) -> impl Iterator<Item = (Chunk, usize)> {
        let chunk = |order: u32| (order < self.walk.chunk_count(tokens)).then(|| self.walk.chunk(order, tokens));
        let turns = |chunk: Option<Chunk>, nodes: Range<usize>| {
            chunk.into_iter().flat_map(move |chunk| nodes.clone().map(move |node| (chunk, node)))
        };
        let rest = round.checked_sub(self.lead.chunks).and_then(chunk);
        turns(chunk(round), 0..self.lead.nodes).chain(turns(rest, self.lead.nodes..self.nodes.len()))
    }

    /// Turns of the block before a round.
    pub(super) fn turns_before(&self, round: u32, tokens: u32) -> u64 {
        let (lead, rest) = (self.lead.nodes as u64, (self.nodes.len() - self.lead.nodes) as u64);
        u64::from(round.min(self.walk.chunk_count(tokens))) * lead + u64::from(round.saturating_sub(self.lead.chunks)) * rest
    }

    /// Turns in a row that have every operation which has a turn later on in the block.
    pub fn turns_of_all(&self, tokens: u32) -> u64 {
        self.turns_before(self.lead.chunks + 1, tokens)
    }

    /// The round of a turn of the block, and its place in the round.
    fn round_at(&self, turn: u64, tokens: u32) -> (u32, usize) {
        let rounds = 0..self.rounds(tokens);
        let (mut round, mut behind) = (rounds.start, rounds.end);
        while behind - round > 1 {
            let middle = round + (behind - round) / 2;
            if self.turns_before(middle, tokens) <= turn { round = middle } else { behind = middle }
        }
        (round, (turn - self.turns_before(round, tokens)) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Config, PRESETS};
    use crate::step::{BatchShape, Strategy};

    fn program() -> Program {
        Program::train(&PRESETS[0].config, BatchShape::uniform(1, 300), Strategy::stream(64, 128))
    }

    /// Layers with a window, whose keys are computed two chunks ahead in the backward pass, and others.
    fn program_with_lead() -> Program {
        let config = Config { sliding_window: 70, sliding_layers: vec![true, false, true], ..PRESETS[0].config.clone() };
        Program::train(&config, BatchShape::uniform(1, 300), Strategy::stream(64, 128))
    }

    #[test]
    fn every_turn_comes_once_and_what_leads_comes_first() {
        let program = program_with_lead();
        let turns: Vec<Turn> = program.turns(0..program.turn_count() + 9).collect();
        assert_eq!(turns.len() as u64, program.turn_count());
        for (&turn, number) in turns.iter().zip(0..) {
            assert_eq!((program.turn(number), program.turn_number(turn)), (turn, number));
        }
        for from in [0, 71, 500, 777] {
            assert!(program.turns(from..from + 300).eq(turns[from as usize..].iter().copied().take(300)), "from {from}");
        }
        let leading = program.blocks.iter().enumerate().filter(|(_, block)| block.lead.chunks > 0);
        for (block, Block { walk, lead, nodes, .. }) in leading {
            assert_eq!(lead.chunks, 2);
            let number = |order: u32, node: usize| program.turn_number(Turn { block, chunk: walk.chunk(order, 300), node });
            for order in 0..5u32 {
                let needed = (order + lead.chunks).min(4);
                assert!(number(needed, lead.nodes - 1) < number(order, lead.nodes), "what chunk {order} looks back on is there");
                let later = order + lead.chunks + 1;
                assert!(later > 4 || number(order, nodes.len() - 1) < number(later, 0), "its row is free for the next");
            }
        }
        assert_eq!(program.blocks.iter().filter(|block| block.lead.chunks > 0).count(), 2);
    }

    #[test]
    fn some_turns_in_a_row_have_all_that_are_left() {
        let program = program_with_lead();
        let mut start = 0;
        for block in &program.blocks {
            let end = start + program.turns_of(block);
            for from in start..end {
                let nodes = |numbers: Range<u64>| program.turns(numbers).map(|turn| turn.node).collect::<BTreeSet<usize>>();
                assert_eq!(nodes(from..end.min(from + block.turns_of_all(300))), nodes(from..end), "{} from {from}", block.title);
            }
            start = end;
        }
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
        for program in [program(), program_with_lead()] {
            check_strides(&program);
        }
    }

    fn check_strides(program: &Program) {
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
