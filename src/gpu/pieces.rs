//! Pieces of tensors: a dispatch binds one piece of each tensor, so an operation on several pieces is cut into parts where these begin.

use std::ops::Range;

use super::part::Part;
use crate::step::{Chunk, Op, Program, TensorId};

/// How a tensor that lies in pieces is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceRows {
    /// Rows of a piece.
    rows: u32,
    /// The token of row 0.
    first_token: u32,
    /// Does a dispatch need the rows of its keys, rather than those of its chunk?
    is_of_keys: bool,
}

impl PieceRows {
    /// The piece that a token is in.
    fn piece(&self, token: u32) -> u32 {
        (token - self.first_token) / self.rows
    }

    /// The first token of a piece.
    fn start(&self, piece: u32) -> u32 {
        self.first_token + piece * self.rows
    }
}

/// The pieces of the tensors of operations that share a dispatch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    tensors: Vec<(TensorId, PieceRows)>,
    /// The sliding window of the operations in tokens, the query included, if they have one.
    window: Option<u32>,
}

impl Pieces {
    /// Of the tensors of some operations.
    pub fn of(program: &Program, ops: &[&Op]) -> Pieces {
        let operands = ops.iter().flat_map(|op| op.operands());
        let in_pieces = operands.filter_map(|operand| {
            let tensor = program.tensor(operand.tensor);
            let rows = PieceRows { rows: tensor.piece_rows, first_token: tensor.first_token, is_of_keys: operand.is_visible_prefix };
            tensor.is_in_pieces().then_some((operand.tensor, rows))
        });
        Pieces { tensors: in_pieces.collect(), window: ops[0].window() }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The piece of a tensor that a part of the operations needs.
    pub fn of_part(&self, id: TensorId, part: &Part) -> u32 {
        let first_key = self.first_key(part.chunk).max(part.keys.start);
        let found = self.tensors.iter().find(|(other, _)| *other == id);
        found.map_or(0, |(_, rows)| rows.piece(if rows.is_of_keys { first_key } else { part.chunk.start }))
    }

    /// Does a chunk need more than one piece of a tensor?
    pub fn are_several_for(&self, chunk: Chunk) -> bool {
        let last = chunk.end() - 1;
        self.tensors.iter().any(|(_, rows)| {
            let first = if rows.is_of_keys { self.first_key(chunk) } else { chunk.start };
            rows.piece(first) != rows.piece(last)
        })
    }

    /// As many of the last tokens of a chunk as lie in one piece of each tensor.
    pub fn last_tokens(&self, chunk: Chunk) -> Chunk {
        let of_chunk = self.tensors.iter().filter(|(_, rows)| !rows.is_of_keys);
        let start = of_chunk.map(|(_, rows)| rows.start(rows.piece(chunk.end() - 1))).fold(chunk.start, u32::max);
        Chunk { start, count: chunk.end() - start, ..chunk }
    }

    /// Splits a range of keys of some tokens where pieces begin.
    pub fn split_keys(&self, keys: Range<u32>, tokens: Chunk) -> Vec<Range<u32>> {
        let seen = self.first_key(tokens).max(keys.start)..tokens.end().min(keys.end);
        let of_keys = self.tensors.iter().filter(|(_, rows)| rows.is_of_keys);
        let mut starts: Vec<u32> = of_keys
            .flat_map(|(_, piece)| (piece.piece(seen.start) + 1..=piece.piece(seen.end - 1)).map(|number| piece.start(number)))
            .chain([keys.start])
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().copied().skip(1).chain([keys.end]);
        starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }

    /// The first key that a token of a chunk may see, whatever its sequence.
    fn first_key(&self, chunk: Chunk) -> u32 {
        self.window.map_or(0, |window| chunk.start.saturating_sub(window - 1))
    }
}
