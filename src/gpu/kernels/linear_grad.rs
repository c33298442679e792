//! A workgroup has a token tile and a few columns.

use super::{slice_vec4s, vec4s};
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::{Sharing, Tuning};
use crate::step::{Op, Program};

/// Groups of four columns of the matrix that a subgroup reads at once: each thread one.
fn together(lanes: u32) -> u32 {
    lanes
}

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::LinearGrad { d_out, weight, d_x, slice, scale, accumulate } = *op else { unreachable!("dispatched by kind") };
    let columns = vec4s(program, weight);
    let tile = tuning.linear_grad.fitted(columns, together);
    Launch::new(op.kind(), Grid::TokenTiles(columns.div_ceil(tile.workgroup_vec4s())))
        .write("d_out", d_out)
        .weight(program, weight)
        .write("d_x", d_x)
        .u32("in_vec4s", columns)
        .u32("out_vec4s", vec4s(program, d_out))
        .u32("vec4s", slice_vec4s(slice))
        .u32("first_row", slice.row)
        .u32("first_col_vec4", slice.col / 4)
        .f32("scale", scale as f32)
        .period("d_out_period", program, d_out)
        .period("d_x_period", program, d_x)
        .token_tile(tile, together)
        // Whatever rows are at work, since how many they are depends on the strategy.
        .condition("RAGGED", tile.sharing != Sharing::Workgroup && tile.at_once > 1)
        .condition("ACCUMULATE", accumulate)
        .condition("SCALED", scale != 1.0)
}
