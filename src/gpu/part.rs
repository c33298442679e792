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

    /// Its uniforms: the fields of `Chunk` in `shaders/prelude.wgsl`. `tiles` are those of the batch, and `first_token` is the first token of
    /// this rank.
    pub fn uniforms(&self, tiles: &LabelledTiles, first_token: u32) -> [u32; 64] {
        let Part { chunk, tokens_before, keys } = self;
        let mut uniforms = [0; 64];
        uniforms[..7].copy_from_slice(&[chunk.start, chunk.count, *tokens_before, keys.start, keys.end, tiles.tiles_of_bit(), first_token]);
        uniforms[LABELLED].copy_from_slice(tiles.bits());
        uniforms
    }
}
