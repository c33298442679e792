//! One workgroup per token tile and tile of columns of `d_x`.

use super::kernel::{Kernel, slice_vec4s, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::{Sharing, Tuning};
use crate::step::ops::LinearGrad;
use crate::step::{OpKind, Program, SUM_BLOCK};

/// Groups of four columns of the matrix that a subgroup loads at once: one per thread.
fn together(subgroup_size: u32) -> u32 {
    subgroup_size
}

impl Kernel for LinearGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, chunk_len: u32) -> Option<Dispatch> {
        let LinearGrad { d_out, weight, d_x, slice, scale, accumulate } = *self;
        let columns = vec4s(program, weight);
        let tile = tuning.linear_grad.fitted(columns, together).busy(tuning, chunk_len, columns);
        Some(
            Dispatch::new(OpKind::LinearGrad, Grid::TokenTiles(columns.div_ceil(tile.workgroup_vec4s())))
                .write("d_out", d_out)
                .weight(program, weight)
                .write("d_x", d_x)
                .u32("in_vec4s", columns)
                .u32("out_vec4s", vec4s(program, d_out))
                .u32("vec4s", slice_vec4s(slice))
                .u32("first_row", slice.row)
                .u32("first_col_vec4", slice.col / 4)
                .f32("scale", scale as f32)
                .row_modulus("d_out_row_modulus", program, d_out)
                .row_modulus("d_x_row_modulus", program, d_x)
                .token_tile(tile, together)
                .computes_all(tile, true)
                .constant("BLOCK_VEC4S", SUM_BLOCK / 4)
                .condition("BLOCKED", program.tensor(weight).row_count > SUM_BLOCK)
                // The condition must not depend on the slice, whose size depends on the strategy.
                .condition("RAGGED", tile.sharing != Sharing::Workgroup && tile.unroll > 1)
                .condition("ACCUMULATE", accumulate)
                .condition("SCALED", scale != 1.0),
        )
    }
}
