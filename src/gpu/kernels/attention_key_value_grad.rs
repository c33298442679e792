//! One workgroup per token tile of keys and key/value head, whose threads have a few keys each; or, in tiles, several workgroups. Each goes
//! through all queries of the chunk.

use super::attention::{heads, step};
use super::kernel::Kernel;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::AttentionKeyValueGrad;
use crate::step::{OpKind, Program, SUM_BLOCK, TOKEN_TILE};

/// Keys of a workgroup with tiles in workgroup memory.
const TILE_KEYS: u32 = 16;

impl Kernel for AttentionKeyValueGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let AttentionKeyValueGrad { q, k, v, segment_start, d_out, stats, d_k, d_v, window } = *self;
        let tile = tuning.attention_key_value_grad;
        let parts_of_tile = if tile.is_tiled() { TOKEN_TILE / TILE_KEYS } else { 1 };
        let grid = Grid::KeyTiles { window: window.unwrap_or(u32::MAX), others: program.config().num_key_value_heads * parts_of_tile };
        let dispatch = Dispatch::new(OpKind::AttentionKeyValueGrad, grid)
            .write("q", q)
            .write("k", k)
            .write("v", v)
            .read("segment_start", segment_start)
            .write("d_out", d_out)
            .write("stats", stats)
            .write("d_k", d_k)
            .write("d_v", d_v);
        let terms = TOKEN_TILE * program.config().num_key_value_groups();
        let parts = terms.div_ceil(SUM_BLOCK);
        let steps = terms / step(tile);
        Some(
            heads(dispatch, program, k, window, tile, TILE_KEYS)
                .constant("PARTS", parts)
                .constant("PART_STEPS", steps.div_ceil(parts))
                .iterations_of_tile(parts + steps + terms / tile.unroll)
                .row_modulus("q_row_modulus", program, q)
                .row_modulus("d_out_row_modulus", program, d_out)
                .row_modulus("stats_row_modulus", program, stats)
                // The layers of a group keep their keys and values, and have their gradients in rings.
                .row_modulus("d_keys_row_modulus", program, d_k),
        )
    }
}
