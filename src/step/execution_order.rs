//! The execution order of a step. An operation for one chunk is an operation instance; instances are numbered from 0 in the order in which
//! they run.
//!
//! A block runs in rounds. Without lookahead a round runs all operations for one chunk. With a [`Lookahead`](super::Lookahead) of `n`
//! chunks, round `r` first runs the lookahead operations for the `r`-th chunk, then the other operations for the `(r - n)`-th.

use std::ops::{Range, RangeInclusive};

use super::chunk::Chunk;
use super::program::{Block, Pass, Program};
use super::share::Share;

/// An operation instance: an operation of a block, for one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpInstance {
    /// The index of the block in [`Program::blocks`].
    pub block: usize,
    /// The chunk.
    pub chunk: Chunk,
    /// The index of the operation in the block.
    pub node: usize,
}

/// How much of a step runs before the debugger stops again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// One operation for one chunk.
    Operation,
    /// All consecutive operations of a block for one chunk.
    Chunk,
    /// All operations of a pass in one layer, or in a group of them.
    Layer,
    /// The rest of the pass.
    Pass,
    /// The rest of the step.
    Step,
}

impl Granularity {
    /// All granularities, from fine to coarse.
    pub const ALL: [Granularity; 5] =
        [Granularity::Operation, Granularity::Chunk, Granularity::Layer, Granularity::Pass, Granularity::Step];

    /// The name in JSON and on the page.
    pub fn name(self) -> &'static str {
        match self {
            Granularity::Operation => "operation",
            Granularity::Chunk => "chunk",
            Granularity::Layer => "layer",
            Granularity::Pass => "pass",
            Granularity::Step => "step",
        }
    }
}

impl Program {
    /// The number of operation instances of the whole program.
    pub fn instance_count(&self) -> u64 {
        self.blocks.iter().map(|block| self.instances_of(block)).sum()
    }

    /// The numbers of the instances of consecutive passes.
    pub fn span(&self, passes: RangeInclusive<Pass>) -> Range<u64> {
        let before: u64 = self.blocks.iter().filter(|b| b.pass < *passes.start()).map(|b| self.instances_of(b)).sum();
        let inside: u64 = self.blocks.iter().filter(|b| passes.contains(&b.pass)).map(|b| self.instances_of(b)).sum();
        before..before + inside
    }

    /// The instances with these numbers, as far as the step has them.
    pub fn instances(&self, numbers: Range<u64>) -> impl Iterator<Item = OpInstance> {
        let (first, mut round, mut place) = self.locate(numbers.start);
        let left = numbers.end.saturating_sub(numbers.start) as usize;
        let blocks = self.blocks.iter().enumerate().skip(first);
        let all = blocks.flat_map(move |(index, block)| {
            // Only the first block may start in the middle.
            let (rounds_done, mut instances_done) = (std::mem::take(&mut round), std::mem::take(&mut place));
            (rounds_done..block.rounds(self.share())).flat_map(move |round| {
                let from = std::mem::take(&mut instances_done);
                block.round(round, self.share()).skip(from).map(move |(chunk, node)| OpInstance { block: index, chunk, node })
            })
        });
        all.take(left)
    }

    /// The instance with that number.
    ///
    /// # Panics
    /// If the step has no instance with that number.
    pub fn instance(&self, number: u64) -> OpInstance {
        self.instances(number..number + 1).next().unwrap_or_else(|| panic!("instance {number} of {}", self.instance_count()))
    }

    /// The number of an instance.
    pub fn instance_number(&self, instance: OpInstance) -> u64 {
        let before: u64 = self.blocks[..instance.block].iter().map(|block| self.instances_of(block)).sum();
        let (block, share) = (&self.blocks[instance.block], self.share());
        let round = block.chunk_order.order(instance.chunk.index, share)
            + if instance.node < block.lookahead.nodes { 0 } else { block.lookahead.chunks };
        // The last rounds have no lookahead operations left.
        let first = if round < block.chunk_order.chunk_count(share) { 0 } else { block.lookahead.nodes };
        before + block.instances_before(round, share) + (instance.node - first) as u64
    }

    /// The end of the granule that contains the instance `from`: the number of the first instance after it.
    pub fn granularity_end(&self, from: u64, granularity: Granularity) -> u64 {
        let all = self.span(Pass::STEP).end;
        if from >= all {
            return all;
        }
        let instance = self.instance(from);
        let block = &self.blocks[instance.block];
        let is_same = |other: &Block| match granularity {
            Granularity::Layer => (other.pass, &other.layers) == (block.pass, &block.layers),
            Granularity::Pass => other.pass == block.pass,
            Granularity::Operation | Granularity::Chunk | Granularity::Step => false,
        };
        match granularity {
            Granularity::Operation => from + 1,
            Granularity::Chunk => {
                let end = if instance.node < block.lookahead.nodes { block.lookahead.nodes } else { block.nodes.len() };
                from + (end - instance.node) as u64
            }
            Granularity::Step => all,
            Granularity::Layer | Granularity::Pass => {
                let start = self.instance_number(OpInstance { node: 0, chunk: self.first_chunk(block), ..instance });
                start + self.blocks[instance.block..].iter().take_while(|b| is_same(b)).map(|b| self.instances_of(b)).sum::<u64>()
            }
        }
    }

    /// The start of the granule that ends with the instance before `before`, or 0 if there is none.
    pub fn granularity_start(&self, before: u64, granularity: Granularity) -> u64 {
        if granularity == Granularity::Operation {
            return before.saturating_sub(1);
        }
        let ends = std::iter::successors(Some(0), |&from| Some(self.granularity_end(from, granularity)));
        ends.take_while(|&end| end < before).last().unwrap_or(0)
    }

    fn first_chunk(&self, block: &Block) -> Chunk {
        block.chunk_order.chunks(self.share()).next().expect("a batch has a token")
    }

    fn instances_of(&self, block: &Block) -> u64 {
        u64::from(block.chunk_order.chunk_count(self.share())) * block.nodes.len() as u64
    }

    /// The block of an instance, its round, and its index in the round.
    fn locate(&self, number: u64) -> (usize, u32, usize) {
        let mut left = number;
        for (index, block) in self.blocks.iter().enumerate() {
            let instances = self.instances_of(block);
            if left < instances {
                let (round, place) = block.round_at(left, self.share());
                return (index, round, place);
            }
            left -= instances;
        }
        (self.blocks.len(), 0, 0)
    }
}

impl Block {
    /// The number of rounds. Each runs the lookahead for one chunk, then the rest for the chunk whose lookahead ran some rounds ago. The
    /// first rounds have only lookahead operations, the last ones none.
    pub(super) fn rounds(&self, share: Share) -> u32 {
        self.chunk_order.chunk_count(share) + self.lookahead.chunks
    }

    /// The instances of a round: the chunk and the index of each operation.
    pub(super) fn round(&self, round: u32, share: Share) -> impl Iterator<Item = (Chunk, usize)> {
        let chunk = |order: u32| (order < self.chunk_order.chunk_count(share)).then(|| self.chunk_order.chunk(order, share));
        let instances = |chunk: Option<Chunk>, nodes: Range<usize>| {
            chunk.into_iter().flat_map(move |chunk| nodes.clone().map(move |node| (chunk, node)))
        };
        let rest = round.checked_sub(self.lookahead.chunks).and_then(chunk);
        instances(chunk(round), 0..self.lookahead.nodes).chain(instances(rest, self.lookahead.nodes..self.nodes.len()))
    }

    /// The number of instances of the block before a round.
    pub(super) fn instances_before(&self, round: u32, share: Share) -> u64 {
        let (ahead, rest) = (self.lookahead.nodes as u64, (self.nodes.len() - self.lookahead.nodes) as u64);
        u64::from(round.min(self.chunk_order.chunk_count(share))) * ahead + u64::from(round.saturating_sub(self.lookahead.chunks)) * rest
    }

    /// A number of instances: that many consecutive ones, from any instance of the block, include every operation that still runs later in
    /// it.
    pub fn instances_of_all(&self, share: impl Into<Share>) -> u64 {
        self.instances_before(self.lookahead.chunks + 1, share.into())
    }

    /// The round of an instance of the block, and its index in the round.
    fn round_at(&self, instance: u64, share: Share) -> (u32, usize) {
        let rounds = 0..self.rounds(share);
        let (mut round, mut behind) = (rounds.start, rounds.end);
        while behind - round > 1 {
            let middle = round + (behind - round) / 2;
            if self.instances_before(middle, share) <= instance { round = middle } else { behind = middle }
        }
        (round, (instance - self.instances_before(round, share)) as usize)
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

    /// Layers with a sliding window, whose keys are recomputed two chunks ahead in the backward pass, and layers without one.
    fn program_with_lookahead() -> Program {
        let config = Config { sliding_window: 70, sliding_layers: vec![true, false, true], ..PRESETS[0].config.clone() };
        Program::train(&config, BatchShape::uniform(1, 300), Strategy::stream(64, 128))
    }

    #[test]
    fn every_instance_comes_once_and_lookahead_comes_first() {
        let program = program_with_lookahead();
        let instances: Vec<OpInstance> = program.instances(0..program.instance_count() + 9).collect();
        assert_eq!(instances.len() as u64, program.instance_count());
        for (&instance, number) in instances.iter().zip(0..) {
            assert_eq!((program.instance(number), program.instance_number(instance)), (instance, number));
        }
        for from in [0, 71, 500, 777] {
            assert!(program.instances(from..from + 300).eq(instances[from as usize..].iter().copied().take(300)), "from {from}");
        }
        let leading = program.blocks.iter().enumerate().filter(|(_, block)| block.lookahead.chunks > 0);
        for (block, Block { chunk_order, lookahead, nodes, .. }) in leading {
            assert_eq!(lookahead.chunks, 2);
            let number =
                |order: u32, node: usize| program.instance_number(OpInstance { block, chunk: chunk_order.chunk(order, 300), node });
            for order in 0..5u32 {
                let needed = (order + lookahead.chunks).min(4);
                assert!(number(needed, lookahead.nodes - 1) < number(order, lookahead.nodes), "chunk {order} has its window");
                let later = order + lookahead.chunks + 1;
                assert!(later > 4 || number(order, nodes.len() - 1) < number(later, 0), "its rows are free for the next chunk");
            }
        }
        assert_eq!(program.blocks.iter().filter(|block| block.lookahead.chunks > 0).count(), 2);
    }

    #[test]
    fn some_consecutive_instances_include_all_operations_that_are_left() {
        let program = program_with_lookahead();
        let mut start = 0;
        for block in &program.blocks {
            let end = start + program.instances_of(block);
            for from in start..end {
                let nodes = |numbers: Range<u64>| program.instances(numbers).map(|instance| instance.node).collect::<BTreeSet<usize>>();
                assert_eq!(nodes(from..end.min(from + block.instances_of_all(300))), nodes(from..end), "{} from {from}", block.title);
            }
            start = end;
        }
    }

    #[test]
    fn instances_are_the_chunks_of_each_block_in_its_chunk_order() {
        let program = program();
        let mut number = 0;
        for (block, b) in program.blocks.iter().enumerate() {
            for chunk in b.chunk_order.chunks(300) {
                for node in 0..b.nodes.len() {
                    let instance = OpInstance { block, chunk, node };
                    assert_eq!((program.instance(number), program.instance_number(instance)), (instance, number));
                    number += 1;
                }
            }
        }
        assert_eq!((program.instance_count(), program.instances(0..number + 9).count() as u64), (number, number));
        let middle: Vec<OpInstance> = program.instances(70..500).collect();
        assert!(middle.iter().zip(70..).all(|(&instance, number)| instance == program.instance(number)));
    }

    #[test]
    fn spans_follow_one_another() {
        let program = program();
        let passes = [Pass::Clear, Pass::Forward, Pass::Loss, Pass::Backward, Pass::Update];
        let ends: Vec<Range<u64>> = passes.map(|pass| program.span(pass..=pass)).to_vec();
        assert!(ends.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(program.span(Pass::Clear..=Pass::Update), 0..program.instance_count());
        for (pass, span) in passes.into_iter().zip(ends) {
            assert!(program.instances(span).all(|instance| program.blocks[instance.block].pass == pass));
        }
    }

    #[test]
    fn a_granule_ends_where_what_it_is_named_for_changes() {
        for program in [program(), program_with_lookahead()] {
            check_granularities(&program);
        }
    }

    fn check_granularities(program: &Program) {
        let key = |number: u64, granularity| {
            let instance = program.instance(number);
            let block = &program.blocks[instance.block];
            let place = (instance.block, instance.chunk.index);
            match granularity {
                Granularity::Operation => (block.pass, block.layers.clone(), place, instance.node),
                Granularity::Chunk => (block.pass, block.layers.clone(), place, 0),
                Granularity::Layer => (block.pass, block.layers.clone(), (0, 0), 0),
                Granularity::Pass => (block.pass, 0..0, (0, 0), 0),
                Granularity::Step => (Pass::Clear, 0..0, (0, 0), 0),
            }
        };
        for granularity in Granularity::ALL {
            for from in [0, 1, 60, 77, 400, program.instance_count() - 1] {
                let end = program.granularity_end(from, granularity);
                assert!((from..end).all(|number| key(number, granularity) == key(from, granularity)), "{granularity:?} from {from}");
                assert!(end == program.instance_count() || key(end, granularity) != key(from, granularity), "{granularity:?} from {from}");
                let start = program.granularity_start(end, granularity);
                assert!(start <= from && program.granularity_end(start, granularity) == end, "{granularity:?} back from {end}");
            }
            assert_eq!(program.granularity_start(0, granularity), 0);
        }
    }
}
