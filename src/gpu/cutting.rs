//! Cuts operations into parts, so that no dispatch takes too long.
//!
//! Operating systems and browsers reset a device that is busy with one dispatch for seconds. So an operation with more work than a limit is
//! cut where the same operation would be cut by shorter chunks or by its own blocks of a sum: between token tiles, and for attention between
//! blocks of keys. It is also cut there if it needs several [pieces](super::pieces) of a tensor. Each part continues from what the one before
//! has stored, so the results are the same bits for every limit.

use std::ops::Range;

use super::dispatch::{Grid, Group};
use super::part::Part;
use super::pieces::Pieces;
use crate::step::{Chunk, Op, OpKind, Program, SUM_BLOCK, TOKEN_TILE};

/// The most work of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchLimit {
    /// Of all workgroups together: see [`Cost::work`](crate::step::Cost::work).
    pub work: u64,
    /// Of one workgroup, which has only a part of the device for itself.
    pub workgroup_work: u64,
}

/// Where an operation can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere. Its work does not grow with the sequence, and its tensors fit into bindings.
    Nowhere,
    /// Between token tiles.
    Tokens,
    /// Between token tiles; and between blocks of keys, all of which a workgroup goes through.
    TokensAndKeys,
    /// Between blocks of keys, each of which has its own workgroups; and between the token tiles that these go through.
    KeysAndTokens,
}

impl DispatchLimit {
    /// Workgroups that run at the same time, at least: the most work of one of them is this part of the whole.
    const WORKGROUPS: u64 = 128;
    /// Work of a workgroup that no device spends longer on than it should on a dispatch.
    const LITTLE_WORK: u64 = 1_000_000_000;

    /// At most `work` in a dispatch.
    pub fn of(work: u64) -> DispatchLimit {
        DispatchLimit { work, workgroup_work: (work / Self::WORKGROUPS).max(work.min(Self::LITTLE_WORK)) }
    }
}

impl Cut {
    /// Where an operation with that grid can be cut.
    pub fn of(kind: OpKind, grid: Grid) -> Cut {
        match grid {
            _ if kind == OpKind::EmbeddingGrad => Cut::Tokens,
            Grid::Threads(_) | Grid::Workgroups(..) => Cut::Nowhere,
            Grid::KeyTiles { .. } => Cut::KeysAndTokens,
            _ if matches!(kind, OpKind::Attention | OpKind::AttentionQueryGrad) => Cut::TokensAndKeys,
            Grid::TokenTiles(_) | Grid::PerToken(_) | Grid::ThreadsPerToken(_) | Grid::OverTokens(..) => Cut::Tokens,
        }
    }
}

/// Operations that share a dispatch, for a chunk.
pub struct Whole<'a> {
    /// Their program.
    pub program: &'a Program,
    /// The operations.
    pub ops: &'a [&'a Op],
    /// Their chunk.
    pub chunk: Chunk,
    /// The same by the workgroups that run them. All can be cut in the same places.
    pub groups: &'a [Group],
}

impl Whole<'_> {
    /// Parts within a limit, as far as the operations can be cut, each with one piece of each tensor. Sums over tokens go from the last token
    /// to the first, sums over keys from the first key to the last.
    pub fn parts(&self, limit: DispatchLimit) -> Vec<Part> {
        let cut = Cut::of(self.ops[0].kind(), self.groups[0].grid);
        let pieces = Pieces::of(self.program, self.ops);
        let work = self.work(self.chunk);
        // Most operations have less work than a workgroup may have.
        let fits = || work <= limit.workgroup_work || self.workgroup_work(self.chunk) <= limit.workgroup_work;
        if cut == Cut::Nowhere || (work <= limit.work && fits() && !pieces.are_several_for(self.chunk)) {
            return vec![Part::whole(self.chunk)];
        }
        let mut parts = Vec::new();
        let mut rest = self.chunk;
        while rest.count > 0 {
            let tokens = self.last_tokens(pieces.last_tokens(rest), cut, limit);
            rest.count -= tokens.count;
            let ranges = self.key_ranges(tokens, cut, limit).into_iter().flat_map(|keys| pieces.split_keys(keys, tokens));
            parts.extend(ranges.map(|keys| self.part(tokens, keys)));
        }
        parts
    }

    fn part(&self, chunk: Chunk, keys: Range<u32>) -> Part {
        Part { chunk, tokens_before: chunk.start - self.chunk.start, keys }
    }

    /// As many of the last tokens as one dispatch is for, at least a tile.
    fn last_tokens(&self, all: Chunk, cut: Cut, limit: DispatchLimit) -> Chunk {
        let tiles = all.count.div_ceil(TOKEN_TILE);
        let last = |count: u32| {
            let before = (tiles - count) * TOKEN_TILE;
            Chunk { start: all.start + before, count: all.count - before, ..all }
        };
        let fits = |chunk: Chunk| match cut {
            Cut::TokensAndKeys => self.work(chunk) / u64::from(self.key_parts(chunk, cut, limit)) <= limit.work,
            // A dispatch has at least a block of keys.
            Cut::KeysAndTokens => {
                let blocks = self.key_blocks(chunk);
                let of_block = self.work(chunk) / u64::from(blocks.end - blocks.start);
                self.workgroup_work(chunk) <= limit.workgroup_work && of_block <= limit.work
            }
            Cut::Tokens | Cut::Nowhere => self.work(chunk) <= limit.work && self.workgroup_work(chunk) <= limit.workgroup_work,
        };
        let (mut most, mut too_many) = (1, tiles + 1);
        while too_many - most > 1 {
            let count = most.midpoint(too_many);
            if fits(last(count)) { most = count } else { too_many = count }
        }
        last(most)
    }

    /// The number of dispatches between which the keys of some tokens are dealt out.
    fn key_parts(&self, tokens: Chunk, cut: Cut, limit: DispatchLimit) -> u32 {
        let parts = match cut {
            // The last tile sees the most keys. What is left of it alone is all that there is to cut.
            Cut::TokensAndKeys => {
                let before = (tokens.count - 1) / TOKEN_TILE * TOKEN_TILE;
                let tile = Chunk { start: tokens.start + before, count: tokens.count - before, ..tokens };
                self.workgroup_work(tile).div_ceil(limit.workgroup_work).max(self.work(tile).div_ceil(limit.work))
            }
            Cut::KeysAndTokens => self.work(tokens).div_ceil(limit.work),
            Cut::Tokens | Cut::Nowhere => 1,
        };
        parts.clamp(1, u64::from(u32::MAX)) as u32
    }

    /// The ranges of keys of some tokens.
    fn key_ranges(&self, tokens: Chunk, cut: Cut, limit: DispatchLimit) -> Vec<Range<u32>> {
        if cut == Cut::Tokens {
            return vec![Part::whole(tokens).keys];
        }
        let parts = self.key_parts(tokens, cut, limit);
        let blocks = self.key_blocks(tokens);
        let of_part = (blocks.end - blocks.start).div_ceil(parts).max(1);
        let ranges = blocks.step_by(of_part as usize).map(|block| block * SUM_BLOCK..(block + of_part) * SUM_BLOCK);
        let mut ranges: Vec<Range<u32>> = ranges.collect();
        // Nothing is visible beyond the ends.
        if let Some(first) = ranges.first_mut() {
            first.start = 0;
        }
        if let Some(last) = ranges.last_mut() {
            last.end = u32::MAX;
        }
        ranges
    }

    /// The blocks of keys that some tokens see, at least one.
    fn key_blocks(&self, tokens: Chunk) -> Range<u32> {
        let first = self.program.batch.first_visible(tokens.start, self.ops[0].window()) / SUM_BLOCK;
        first..tokens.end().div_ceil(SUM_BLOCK)
    }

    fn work(&self, chunk: Chunk) -> u64 {
        self.ops.iter().map(|op| self.program.cost(op, chunk).work()).sum()
    }

    /// The work of a workgroup: on average, of the group of operations where that is most.
    fn workgroup_work(&self, chunk: Chunk) -> u64 {
        let of_group = |group: &Group| {
            let all: u64 = group.ops.iter().map(|&place| self.program.flops(self.ops[place], chunk)).sum();
            all / group.workgroups(&Part::whole(chunk)).max(1)
        };
        self.groups.iter().map(of_group).max().unwrap_or(0)
    }
}
