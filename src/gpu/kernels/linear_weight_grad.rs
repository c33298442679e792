//! A thread has a few groups of rows and columns of the weight, and goes through all tokens of the chunk.

use super::kernel::{Kernel, slice_vec4s, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::LinearWeightGrad;
use crate::step::{OpKind, Program, TOKEN_TILE};

impl Kernel for LinearWeightGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let LinearWeightGrad { d_out, x, d_weight, slice } = *self;
        // By the whole matrix, not by the slice, whose size depends on the strategy.
        let (all_rows, columns) = (program.tensor(d_weight).row_count.div_ceil(4), vec4s(program, d_weight));
        let tile = tuning.linear_weight_grad.fitted(all_rows).busy(tuning, all_rows, columns);
        let rows = slice_vec4s(slice);
        Some(
            Dispatch::new(
                OpKind::LinearWeightGrad,
                Grid::OverTokens(columns.div_ceil(tile.col_threads * tile.cols), rows.div_ceil(tile.row_threads * tile.vec4s)),
            )
            .write("d_out", d_out)
            .write("x", x)
            .write("d_weight", d_weight)
            .u32("in_vec4s", columns)
            .u32("out_vec4s", vec4s(program, d_out))
            .u32("vec4s", rows)
            .u32("first_row", slice.row)
            .u32("first_col_vec4", slice.col / 4)
            .row_modulus("d_out_row_modulus", program, d_out)
            .row_modulus("x_row_modulus", program, x)
            .weight_tile(tile)
            .iterations_of_tile(1 + TOKEN_TILE / tile.unroll),
        )
    }
}
