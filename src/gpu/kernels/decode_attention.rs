//! One workgroup per completion and query head.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::DecodeAttention;
use crate::step::{OpKind, Program};

/// Keys of a tile.
const TILE: u32 = 64;

impl Kernel for DecodeAttention {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let DecodeAttention { q, prompt_k, prompt_v, k, v, sampling, out, rows, first_token, window } = *self;
        let config = program.config();
        let (threads, head_vec4s) = (tuning.row_threads, config.head_dim.div_ceil(4));
        // Threads that each have a column; where there are more, others have the same columns of other keys.
        let parts = (threads / head_vec4s).max(1);
        let tiles = [prompt_k, k].map(|id| program.tensor(id).row_count.div_ceil(TILE) + 1);
        let of_tile = TILE / threads + TILE.div_ceil(4 * parts);
        Some(
            Dispatch::new(OpKind::DecodeAttention, Grid::PerToken(config.num_attention_heads))
                .constant("WORKGROUP_SIZE", threads)
                .constant("HEAD_VEC4S", head_vec4s)
                .constant("KEYS", TILE)
                .constant("QUADS", TILE / 4)
                .constant("COLS", head_vec4s.div_ceil(threads))
                .constant("PARTS", parts)
                .constant("STRIDE", 4 * parts)
                .condition("SPLIT", parts > 1)
                .write("q", q)
                .write("k0", prompt_k)
                .write("v0", prompt_v)
                .write("k1", k)
                .write("v1", v)
                .read("sampling", sampling)
                .write("out", out)
                .u32("heads", config.num_attention_heads)
                .u32("num_key_value_groups", config.num_key_value_groups())
                .u32("keys_row_vec4s", vec4s(program, k))
                .f32("scale", config.attention_scale() as f32)
                .u32("window", window.unwrap_or(u32::MAX))
                .u32("rows", rows)
                .u32("first_token", first_token)
                .row_modulus("q_row_modulus", program, q)
                .row_modulus("k0_row_modulus", program, prompt_k)
                .row_modulus("k1_row_modulus", program, k)
                .row_modulus("out_row_modulus", program, out)
                .iterations_of_batch((tiles[0] + tiles[1]) * (1 + of_tile)),
        )
    }
}
