//! Chunks of a share of a batch's tokens, and the order in which a block goes through them.

use super::share::Share;

/// The order in which a block goes through the tokens of the batch, or of the share of it that this rank holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkOrder {
    /// All tokens at once.
    Whole,
    /// Chunks of that many tokens, first to last.
    Ascending(u32),
    /// Chunks of that many tokens, last to first.
    Descending(u32),
    /// Chunks of tokens that are not those of the batch, first to last.
    Apart {
        /// The number of the first one.
        first: u32,
        /// How many there are.
        tokens: u32,
        /// Tokens of a chunk.
        len: u32,
    },
}

/// A range of tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// The index of the chunk in the share, in token order.
    pub index: u32,
    /// The first token.
    pub start: u32,
    /// The number of tokens.
    pub count: u32,
}

impl Chunk {
    /// One past the last token.
    pub fn end(&self) -> u32 {
        self.start + self.count
    }
}

impl ChunkOrder {
    /// Tokens of a chunk; the last chunk of the share may be shorter.
    pub fn chunk_len(self, share: impl Into<Share>) -> u32 {
        match self {
            ChunkOrder::Whole => share.into().tokens(),
            ChunkOrder::Ascending(len) | ChunkOrder::Descending(len) | ChunkOrder::Apart { len, .. } => len,
        }
    }

    /// The number of chunks.
    pub fn chunk_count(self, share: impl Into<Share>) -> u32 {
        let share = share.into();
        self.tokens(share).tokens().div_ceil(self.chunk_len(share))
    }

    /// The chunks, in this order.
    pub fn chunks(self, share: impl Into<Share>) -> impl Iterator<Item = Chunk> {
        let share = share.into();
        (0..self.chunk_count(share)).map(move |order| self.chunk(order, share))
    }

    /// The chunk that runs after `order` others.
    pub fn chunk(self, order: u32, share: impl Into<Share>) -> Chunk {
        let share = share.into();
        let (len, index, all) = (self.chunk_len(share), self.order(order, share), self.tokens(share));
        Chunk { index, start: all.first + index * len, count: len.min(all.tokens() - index * len) }
    }

    /// The tokens of all chunks, if those are the batch's that this rank holds.
    fn tokens(self, share: Share) -> Share {
        if let ChunkOrder::Apart { first, tokens, .. } = self { Share { first, end: first + tokens } } else { share }
    }

    /// Is that chunk, which need not be whole, a part of one in this order?
    pub fn has(self, chunk: Chunk, share: impl Into<Share>) -> bool {
        let share = share.into();
        let (len, all) = (self.chunk_len(share), self.tokens(share));
        chunk.start >= all.first && (chunk.start - all.first) % len + chunk.count <= len && chunk.end() <= all.end
    }

    /// Are the tokens those of the batch?
    pub fn is_of_batch(self) -> bool {
        !matches!(self, ChunkOrder::Apart { .. })
    }

    /// The number of chunks that run before the chunk `index`. It is its own inverse: given that number, it returns the index.
    pub fn order(self, index: u32, share: impl Into<Share>) -> u32 {
        if matches!(self, ChunkOrder::Descending(_)) { self.chunk_count(share) - 1 - index } else { index }
    }
}
