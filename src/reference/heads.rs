//! Shared by the three attention operations: the layout of heads, the mask, and the scores.

use std::ops::Range;

use super::rows::dot;
use super::tensors::Matrix;
use crate::model::Config;
use crate::step::Chunk;

/// The layout of heads in rows, and the mask.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    /// H: query heads.
    pub count: usize,
    /// Query heads per key/value head.
    shared_by: usize,
    /// Columns of a head, padding included. Padding is zero, so sums may include it.
    cols: usize,
    /// The factor of a product `q · k`.
    pub scale: f64,
    /// The sliding window in tokens, the query included.
    window: usize,
    /// The chunk's first token.
    start: usize,
}

impl Heads {
    /// The heads for the queries of a chunk.
    pub fn new(config: &Config, chunk: Chunk, window: Option<u32>) -> Self {
        Heads {
            count: config.num_attention_heads as usize,
            shared_by: config.num_key_value_groups() as usize,
            cols: config.head_dim.next_multiple_of(4) as usize,
            scale: config.attention_scale(),
            window: window.map_or(usize::MAX, |window| window as usize),
            start: chunk.start as usize,
        }
    }

    /// The columns of a head in a row.
    pub fn range(&self, head: usize) -> Range<usize> {
        head * self.cols..(head + 1) * self.cols
    }

    /// The columns, in a row of keys or values, of the head that a query head reads.
    pub fn key_range(&self, head: usize) -> Range<usize> {
        self.range(head / self.shared_by)
    }

    /// The tokens whose keys are visible to query i of the chunk: those of its sequence, up to itself, within the window.
    pub fn keys_of(&self, i: usize, segment_start: &Matrix) -> Range<usize> {
        let end = self.start + i + 1;
        (segment_start.scalar(i) as usize).max(end.saturating_sub(self.window))..end
    }

    /// The score of query i of the chunk and the key of token j.
    pub fn score(&self, q: &Matrix, k: &Matrix, i: usize, j: usize, head: usize) -> f64 {
        self.scale * dot(&q.row(i)[self.range(head)], &k.token(j)[self.key_range(head)])
    }
}
