//! One workgroup per token tile and query head; a thread has a few query rows.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::{HeadTile, Sharing, Tuning};
use crate::step::ops::Attention;
use crate::step::{OpKind, Program, Rows, SUM_BLOCK, TOKEN_TILE, TensorId};

/// Groups of four of each of two operands that workgroup memory holds.
const STAGED_VEC4S: u32 = 512;

impl Kernel for Attention {
    fn dispatch(&self, program: &Program, tuning: &Tuning) -> Option<Dispatch> {
        let Attention { q, k, v, segment_start, out, stats, window } = *self;
        let dispatch = Dispatch::new(OpKind::Attention, Grid::TokenTiles(program.config().num_attention_heads))
            .write("q", q)
            .write("k", k)
            .write("v", v)
            .read("segment_start", segment_start)
            .write("out", out)
            .write("stats", stats);
        let keys = visible_keys(program, window);
        Some(
            heads(dispatch, program, k, window, tuning.attention)
                .iterations_of_batch(keys / SUM_BLOCK + keys / tuning.attention.unroll)
                .row_modulus("q_row_modulus", program, q)
                .row_modulus("out_row_modulus", program, out)
                .row_modulus("stats_row_modulus", program, stats),
        )
    }
}

/// Sets the constants and parameters that all three attention kernels share. The rows of the keys are tokens of the batch or of a ring.
pub(super) fn heads(dispatch: Dispatch, program: &Program, k: TensorId, window: Option<u32>, tile: HeadTile) -> Dispatch {
    assert!(matches!(program.tensor(k).rows, Rows::Tokens | Rows::Ring(_)), "keys have rows for all visible tokens");
    let config = program.config();
    let head_vec4s = head_vec4s(program);
    let tokens = tile.tokens_of(head_vec4s);
    dispatch
        .constant("HEAD_VEC4S", head_vec4s)
        .constant("WORKGROUP_SIZE", TOKEN_TILE / tokens)
        .constant("TOKENS", tokens)
        .sharing(tile.sharing)
        .constant("UNROLL", tile.unroll)
        .constant("STEP", step(tile, program))
        .constant("BLOCK", SUM_BLOCK)
        .u32("head_vec4s", head_vec4s)
        .u32("heads", config.num_attention_heads)
        .u32("num_key_value_groups", config.num_key_value_groups())
        .u32("keys_row_vec4s", vec4s(program, k))
        .row_modulus("keys_row_modulus", program, k)
        .f32("scale", config.attention_scale() as f32)
        .u32("window", window.unwrap_or(u32::MAX))
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
pub(super) fn step(tile: HeadTile, program: &Program) -> u32 {
    let staged = (STAGED_VEC4S / head_vec4s(program)).clamp(4, TOKEN_TILE / 2) / 4 * 4;
    let step = match tile.sharing {
        Sharing::Direct => tile.unroll,
        Sharing::Subgroup(threads) => threads,
        Sharing::Workgroup => 1 << staged.ilog2(),
    };
    assert!(step.is_multiple_of(tile.unroll) && TOKEN_TILE.is_multiple_of(step), "{tile:?} with {step} tokens that are loaded together");
    step
}
