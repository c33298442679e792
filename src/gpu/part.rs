//! A part of an operation: what one dispatch is for.

use std::ops::Range;

use crate::step::Chunk;

/// A part of an operation for a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its tokens; the index is that of the whole chunk.
    pub chunk: Chunk,
    /// Tokens of the whole chunk before these.
    pub tokens_before: u32,
    /// The keys that an attention kernel goes through: whole blocks, counted from the start of the batch.
    pub keys: Range<u32>,
}

impl Part {
    /// The whole operation.
    pub fn whole(chunk: Chunk) -> Part {
        Part { chunk, tokens_before: 0, keys: 0..u32::MAX }
    }

    /// Its uniforms: the fields of `Chunk` in `shaders/prelude.wgsl`.
    pub fn uniforms(&self) -> [u32; 5] {
        [self.chunk.start, self.chunk.count, self.tokens_before, self.keys.start, self.keys.end]
    }
}
