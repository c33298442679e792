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
            ChunkOrder::Ascending(len) | ChunkOrder::Descending(len) | ChunkOrder::Apart { len, .. } => len,
        }
    }

    /// The number of chunks.
    pub fn chunk_count(self, tokens: u32) -> u32 {
        self.tokens(tokens).div_ceil(self.chunk_len(tokens))
    }

    /// The chunks, in this order.
    pub fn chunks(self, tokens: u32) -> impl Iterator<Item = Chunk> {
        (0..self.chunk_count(tokens)).map(move |order| self.chunk(order, tokens))
    }

    /// The chunk that runs after `order` others.
    pub fn chunk(self, order: u32, tokens: u32) -> Chunk {
        let (len, index) = (self.chunk_len(tokens), self.order(order, tokens));
        Chunk { index, start: self.first() + index * len, count: len.min(self.tokens(tokens) - index * len) }
    }

    /// The number of the first token.
    fn first(self) -> u32 {
        if let ChunkOrder::Apart { first, .. } = self { first } else { 0 }
    }

    /// Tokens of all chunks, in a batch of so many.
    fn tokens(self, of_batch: u32) -> u32 {
        if let ChunkOrder::Apart { tokens, .. } = self { tokens } else { of_batch }
    }

    /// Is that chunk, which need not be whole, a part of one in this order?
    pub fn has(self, chunk: Chunk, tokens: u32) -> bool {
        let (len, end) = (self.chunk_len(tokens), self.first() + self.tokens(tokens));
        chunk.start >= self.first() && (chunk.start - self.first()) % len + chunk.count <= len && chunk.end() <= end
    }

    /// Are the tokens those of the batch?
    pub fn is_of_batch(self) -> bool {
        !matches!(self, ChunkOrder::Apart { .. })
    }

    /// The number of chunks that run before the chunk `index`. It is its own inverse: given that number, it returns the index.
    pub fn order(self, index: u32, tokens: u32) -> u32 {
        if matches!(self, ChunkOrder::Descending(_)) { self.chunk_count(tokens) - 1 - index } else { index }
    }
}
