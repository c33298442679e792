//! One workgroup per token tile and tile of output columns.

use super::kernel::{Kernel, slice_vec4s, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::{Sharing, Tuning};
use crate::step::ops::Linear;
use crate::step::{OpKind, Program, SUM_BLOCK};

/// Groups of four rows of the matrix that a subgroup loads at once: one row per thread.
fn together(subgroup_size: u32) -> u32 {
    subgroup_size / 4
}

impl Kernel for Linear {
    fn dispatch(&self, program: &Program, tuning: &Tuning, chunk_len: u32) -> Option<Dispatch> {
        let Linear { x, weight, out, bias, residual, slice, scale, accumulate } = *self;
        // By the whole matrix, not by the slice, whose size depends on the strategy.
        let all_rows = program.tensor(weight).row_count.div_ceil(4);
        let tile = tuning.linear.for_few(chunk_len).fitted(all_rows, together).busy(tuning, chunk_len, all_rows);
        let rows = slice_vec4s(slice);
        let dispatch = Dispatch::new(OpKind::Linear, Grid::TokenTiles(rows.div_ceil(tile.workgroup_vec4s())))
            .write("x", x)
            .weight(program, weight)
            .write("out", out)
            .u32("in_vec4s", vec4s(program, weight))
            .u32("out_vec4s", vec4s(program, out))
            .u32("vec4s", rows)
            .u32("first_row", slice.row)
            .u32("first_col_vec4", slice.col / 4)
            .f32("scale", scale as f32)
            .row_modulus("x_row_modulus", program, x)
            .row_modulus("out_row_modulus", program, out)
            .row_modulus("residual_row_modulus", program, residual.unwrap_or(out))
            .token_tile(tile, together)
            .computes_all(tile, slice.col == 0 && rows == vec4s(program, out))
            .constant("BLOCK_VEC4S", SUM_BLOCK / 4)
            .condition("BLOCKED", program.tensor(weight).cols > SUM_BLOCK)
            .condition("RAGGED", tile.sharing != Sharing::Workgroup && !vec4s(program, weight).is_multiple_of(tile.unroll))
            .condition("ACCUMULATE", accumulate)
            .condition("BIAS", bias.is_some())
            .condition("RESIDUAL", residual.is_some());
        let dispatch = match bias {
            Some(bias) => dispatch.read("bias", bias),
            None => dispatch,
        };
        Some(dispatch.write_if_any("residual", residual))
    }
}
