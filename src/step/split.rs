//! How the tokens of a batch are split between ranks.

use super::share::Share;
use super::tensor::TOKEN_TILE;

/// How a batch is split between ranks, and which of them this is. Each holds whole token tiles, the last rank the last ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    rank: u32,
    /// The first token of each rank, and the end of the last.
    borders: Vec<u32>,
    /// Does a step accumulate the gradients of several batches?
    accumulates: bool,
}

impl Split {
    /// The split of a batch at these borders: the first token of each rank, and the end of the last.
    ///
    /// # Panics
    /// If a rank has no tokens, or begins within a token tile, or there is no such rank.
    pub fn new(rank: u32, borders: Vec<u32>) -> Split {
        let is_ascending = borders.windows(2).all(|pair| pair[0] < pair[1]);
        let [starts @ .., _] = &borders[..] else { panic!("a split without borders") };
        let are_whole_tiles = starts.first() == Some(&0) && starts.iter().all(|start| start.is_multiple_of(TOKEN_TILE));
        assert!(is_ascending && are_whole_tiles && (rank as usize) < starts.len(), "rank {rank} of a batch split at {borders:?}");
        Split { rank, borders, accumulates: false }
    }

    /// The same for steps that accumulate the gradients of so many batches.
    #[must_use]
    pub fn accumulating(self, batches: u32) -> Split {
        Split { accumulates: batches > 1, ..self }
    }

    /// Does a step accumulate the gradients of several batches?
    pub fn accumulates(&self) -> bool {
        self.accumulates
    }

    /// The number of ranks behind this one, which hold later tokens.
    pub fn followers(&self) -> u32 {
        self.ranks() - 1 - self.rank
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// The number of ranks.
    pub fn ranks(&self) -> u32 {
        self.borders.len() as u32 - 1
    }

    /// The tokens of this rank.
    pub fn share(&self) -> Share {
        let [first, end] = [0, 1].map(|i| self.borders[self.rank as usize + i]);
        Share { first, end }
    }

    /// The tokens of the whole batch.
    pub fn tokens(&self) -> u32 {
        self.borders.last().copied().expect("a split has borders")
    }

    /// Is this the last rank?
    pub fn is_last(&self) -> bool {
        self.rank + 1 == self.ranks()
    }

    /// The rank that holds the moments of a layer's parameters, and updates them: layers are dealt out one by one, and what belongs to none is
    /// rank 0's.
    pub fn owner(&self, layer: Option<u32>) -> u32 {
        layer.map_or(0, |layer| layer % self.ranks())
    }
}
