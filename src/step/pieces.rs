//! Pieces: a tensor of tokens that no binding of the device can hold lies in several pieces, each with memory of its own.
//!
//! An operation runs for a piece at a time, as one that takes too long is cut into parts: between token tiles, and for attention between
//! blocks of keys. So the results are the same bits for every limit.

use super::program::Program;
use super::tensor::{Rows, SUM_BLOCK, Storage, TOKEN_TILE, Tensor, TensorKind};

/// Cuts every tensor of tokens that has more bytes than the limit. One whose fewest rows have more stays as it is, and so do those of several
/// ranks.
pub(super) fn cut(program: &mut Program, limit: u64) {
    let is_too_large = |tensor: &Tensor| tensor.storage == Storage::Arena && tensor.bytes() > limit;
    let wanted: Vec<usize> = (0..program.tensors.len()).filter(|&id| is_too_large(&program.tensors[id])).collect();
    if wanted.is_empty() || program.batch.split().is_some() {
        return;
    }
    let is_of_tokens = are_of_tokens(program);
    for id in wanted.into_iter().filter(|&id| is_of_tokens[id]) {
        let tensor = &mut program.tensors[id];
        let unit = match tensor.kind {
            TensorKind::KeysValues | TensorKind::KeysValuesGradients => SUM_BLOCK,
            _ => TOKEN_TILE,
        };
        let rows = u32::try_from(limit / tensor.row_bytes()).unwrap_or(u32::MAX) / unit * unit;
        if rows > 0 {
            tensor.piece_rows = rows;
        }
    }
}

/// Of each tensor: is row i token i? So it is in a tensor of a chunk, if every block that touches it has all tokens in one chunk.
fn are_of_tokens(program: &Program) -> Vec<bool> {
    let share = program.share();
    let mut are: Vec<bool> = program.tensors.iter().map(|tensor| matches!(tensor.rows, Rows::Tokens | Rows::Chunk)).collect();
    for block in program.blocks.iter().filter(|block| !block.chunk_order.is_of_batch() || block.chunk_order.chunk_count(share) > 1) {
        for operand in block.nodes.iter().flat_map(|node| node.op.operands()) {
            let id = operand.tensor.0 as usize;
            are[id] &= program.tensors[id].rows == Rows::Tokens;
        }
    }
    are
}
