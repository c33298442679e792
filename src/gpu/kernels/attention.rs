//! One workgroup per token tile and query head, whose threads have a few query rows each; or, in tiles, several workgroups.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::{HeadTile, Sharing, Tuning};
use crate::step::ops::Attention;
use crate::step::{OpKind, Program, Rows, SUM_BLOCK, TOKEN_TILE, TensorId};

/// Queries of a workgroup with tiles in workgroup memory, where there are many: fewer need not change what is computed for each.
const TILE_QUERIES: [u32; 3] = [32, 16, 8];
/// Keys, or in the gradient of keys queries, of a tile in workgroup memory.
pub(super) const TILE_COLS: u32 = 32;
/// Threads along the columns of a tile.
const COL_THREADS: u32 = 8;
/// The most groups of four columns of a head that workgroup memory holds of each operand.
const SLICE_VEC4S: u32 = 8;
/// The most slices of a head whose sums over all queries fit into registers.
const SLICES_IN_REGISTERS: u32 = 2;

impl Kernel for Attention {
    fn dispatch(&self, program: &Program, tuning: &Tuning, chunk_len: u32) -> Option<Dispatch> {
        let Attention { q, k, v, segment_start, out, stats, window } = *self;
        let tile = tuning.attention;
        let queries = queries_of_tile(program, tuning, chunk_len);
        let dispatch = Dispatch::new(OpKind::Attention, query_grid(program, tile, queries))
            .write("q", q)
            .write("k", k)
            .write("v", v)
            .read("segment_start", segment_start)
            .write("out", out)
            .write("stats", stats);
        let keys = visible_keys(program, window);
        Some(
            heads(dispatch, program, k, window, tile, queries)
                .iterations_of_batch(keys / SUM_BLOCK + keys / tile.unroll)
                .row_modulus("q_row_modulus", program, q)
                .row_modulus("out_row_modulus", program, out)
                .row_modulus("stats_row_modulus", program, stats),
        )
    }
}

/// Queries of a workgroup with tiles in workgroup memory, so that a chunk has enough workgroups for a GPU.
pub(super) fn queries_of_tile(program: &Program, tuning: &Tuning, chunk_len: u32) -> u32 {
    let heads_of_chunk = chunk_len.next_multiple_of(TOKEN_TILE) * program.config().num_attention_heads;
    let enough = TILE_QUERIES.into_iter().find(|queries| heads_of_chunk / queries >= tuning.busy_workgroups);
    enough.unwrap_or(TILE_QUERIES[TILE_QUERIES.len() - 1])
}

/// Workgroups along the queries: a token tile of a head each, or `queries` of one.
pub(super) fn query_grid(program: &Program, tile: HeadTile, queries: u32) -> Grid {
    let heads = program.config().num_attention_heads;
    Grid::TokenTiles(if tile.is_tiled() { heads * (TOKEN_TILE / queries) } else { heads })
}

/// Sets the constants and parameters that all three attention kernels share. The rows of the keys are tokens of the batch or of a ring. In
/// tiles, a workgroup has `rows` tokens of its own.
pub(super) fn heads(dispatch: Dispatch, program: &Program, k: TensorId, window: Option<u32>, tile: HeadTile, rows: u32) -> Dispatch {
    assert!(matches!(program.tensor(k).rows, Rows::Tokens | Rows::Ring(_)), "keys have rows for all visible tokens");
    let config = program.config();
    let head_vec4s = head_vec4s(program);
    let dispatch = dispatch.constant("HEAD_VEC4S", head_vec4s).constant("BLOCK", SUM_BLOCK).sharing(tile.sharing);
    let dispatch = if tile.is_tiled() { tiled(dispatch, head_vec4s, tile, rows) } else { in_rows(dispatch, head_vec4s, tile) };
    dispatch
        .u32("head_vec4s", head_vec4s)
        .u32("heads", config.num_attention_heads)
        .u32("num_key_value_groups", config.num_key_value_groups())
        .u32("keys_row_vec4s", vec4s(program, k))
        .row_modulus("keys_row_modulus", program, k)
        .f32("scale", config.attention_scale() as f32)
        .u32("window", window.unwrap_or(u32::MAX))
}

/// A thread has a few tokens of a head.
fn in_rows(dispatch: Dispatch, head_vec4s: u32, tile: HeadTile) -> Dispatch {
    let tokens = tile.tokens_of(head_vec4s);
    dispatch
        .constant("WORKGROUP_SIZE", TOKEN_TILE / tokens)
        .constant("TOKENS", tokens)
        .constant("UNROLL", tile.unroll)
        .constant("STEP", step(tile))
}

/// A workgroup has `rows` tokens of a head, and multiplies tiles in workgroup memory.
fn tiled(dispatch: Dispatch, head_vec4s: u32, tile: HeadTile, rows: u32) -> Dispatch {
    // At least 64 threads.
    let of_thread = tile.tokens_of(head_vec4s).min(rows * COL_THREADS / 64);
    let slice = (1..=SLICE_VEC4S).rev().find(|slice| head_vec4s.is_multiple_of(*slice)).expect("one divides everything");
    let slices = head_vec4s / slice;
    dispatch
        .condition("TILED", true)
        .constant("WORKGROUP_SIZE", rows / of_thread * COL_THREADS)
        .constant("TILE_ROWS", rows)
        .constant("ROWS", of_thread)
        .constant("ROW_THREADS", rows / of_thread)
        .constant("COLS", TILE_COLS)
        .constant("COL_THREADS", COL_THREADS)
        .constant("SLICE_VEC4S", slice)
        .constant("SLICES", slices)
        // An odd number, so that the same columns of several rows lie in different banks.
        .constant("STRIDE", slice | 1)
        .condition("SLICED", slices > 1)
        .condition("REGISTERS", slices <= SLICES_IN_REGISTERS)
}

/// Groups of four columns of a head.
fn head_vec4s(program: &Program) -> u32 {
    program.config().head_dim.div_ceil(4)
}

/// The most keys that the queries of a tile see.
pub(super) fn visible_keys(program: &Program, window: Option<u32>) -> u32 {
    program.batch.longest().min(window.unwrap_or(u32::MAX).saturating_add(TOKEN_TILE))
}

/// Other tokens that are loaded together: a divisor of the token tile.
pub(super) fn step(tile: HeadTile) -> u32 {
    let step = match tile.sharing {
        Sharing::Direct => tile.unroll,
        Sharing::Subgroup(threads) => threads,
        Sharing::Workgroup => TILE_COLS,
    };
    assert!(step.is_multiple_of(tile.unroll) && TOKEN_TILE.is_multiple_of(step), "{tile:?} with {step} tokens that are loaded together");
    step
}
