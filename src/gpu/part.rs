//! A part of an operation: what one dispatch is for.

use std::ops::Range;

use crate::step::{Chunk, LabelledTiles};

/// The field `labelled`: behind the others, at a multiple of 16 bytes.
const LABELLED: Range<usize> = 8..64;

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

    /// Its uniforms: the fields of `Chunk` in `shaders/prelude.wgsl`. `tiles` are those of the batch.
    pub fn uniforms(&self, tiles: &LabelledTiles) -> [u32; 64] {
        let whole = Chunk { start: self.chunk.start - self.tokens_before, count: self.tokens_before + self.chunk.count, ..self.chunk };
        let tiles = tiles.of_chunk(whole);
        let tiles_of_bit = tiles.len().div_ceil(32 * LABELLED.len()).max(1);
        let mut uniforms = [0; 64];
        let fields = [self.chunk.start, self.chunk.count, self.tokens_before, self.keys.start, self.keys.end, tiles_of_bit as u32];
        uniforms[..fields.len()].copy_from_slice(&fields);
        for (bit, _) in tiles.chunks(tiles_of_bit).enumerate().filter(|(_, tiles)| tiles.contains(&true)) {
            uniforms[LABELLED][bit / 32] |= 1 << (bit % 32);
        }
        uniforms
    }
}
