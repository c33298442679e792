//! Chunks of a batch's tokens, and the order in which a block goes through them.

/// The order in which a block goes through the tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkOrder {
    /// All tokens at once.
    Whole,
    /// Chunks of that many tokens, first to last.
    Ascending(u32),
    /// Chunks of that many tokens, last to first.
    Descending(u32),
}

/// A range of tokens of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// The index of the chunk in the batch, in token order.
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
    /// Tokens of a chunk; the last chunk of the batch may be shorter.
    pub fn chunk_len(self, tokens: u32) -> u32 {
        match self {
            ChunkOrder::Whole => tokens,
            ChunkOrder::Ascending(len) | ChunkOrder::Descending(len) => len,
        }
    }

    /// The number of chunks.
    pub fn chunk_count(self, tokens: u32) -> u32 {
        tokens.div_ceil(self.chunk_len(tokens))
    }

    /// The chunks, in this order.
    pub fn chunks(self, tokens: u32) -> impl Iterator<Item = Chunk> {
        (0..self.chunk_count(tokens)).map(move |order| self.chunk(order, tokens))
    }

    /// The chunk that runs after `order` others.
    pub fn chunk(self, order: u32, tokens: u32) -> Chunk {
        let (len, index) = (self.chunk_len(tokens), self.order(order, tokens));
        Chunk { index, start: index * len, count: len.min(tokens - index * len) }
    }

    /// The number of chunks that run before the chunk `index`. It is its own inverse: given that number, it returns the index.
    pub fn order(self, index: u32, tokens: u32) -> u32 {
        if matches!(self, ChunkOrder::Descending(_)) { self.chunk_count(tokens) - 1 - index } else { index }
    }
}
