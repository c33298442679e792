//! The chunks in which a block goes through the tokens of the batch.

/// How a block goes through the tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkOrder {
    /// All of them at once.
    Whole,
    /// In chunks of that length, first to last.
    Ascending(u32),
    /// In chunks of that length, last to first.
    Descending(u32),
}

/// A run of tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Its place along the batch.
    pub index: u32,
    /// Its first token.
    pub start: u32,
    /// Its tokens.
    pub count: u32,
}

impl Chunk {
    /// One behind its last token.
    pub fn end(&self) -> u32 {
        self.start + self.count
    }
}

impl ChunkOrder {
    /// Tokens of a chunk.
    pub fn chunk_len(self, tokens: u32) -> u32 {
        match self {
            ChunkOrder::Whole => tokens,
            ChunkOrder::Ascending(len) | ChunkOrder::Descending(len) => len,
        }
    }

    /// How many chunks there are.
    pub fn chunk_count(self, tokens: u32) -> u32 {
        tokens.div_ceil(self.chunk_len(tokens))
    }

    /// The chunks, in order.
    pub fn chunks(self, tokens: u32) -> impl Iterator<Item = Chunk> {
        (0..self.chunk_count(tokens)).map(move |order| self.chunk(order, tokens))
    }

    /// The chunk before which so many others come.
    pub(super) fn chunk(self, order: u32, tokens: u32) -> Chunk {
        let (len, index) = (self.chunk_len(tokens), self.order(order, tokens));
        Chunk { index, start: index * len, count: len.min(tokens - index * len) }
    }

    /// How many chunks come before the chunk of that index; the other way round, the index of the chunk before which so many come.
    pub fn order(self, index: u32, tokens: u32) -> u32 {
        if matches!(self, ChunkOrder::Descending(_)) { self.chunk_count(tokens) - 1 - index } else { index }
    }
}
