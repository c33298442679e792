//! A workgroup has a token tile and a few columns.

use super::{slice_vec4s, vec4s};
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::{Sharing, Tuning};
use crate::step::{Op, Program};

/// Groups of four rows of the matrix that a subgroup reads at once: each thread one row.
fn together(lanes: u32) -> u32 {
    lanes / 4
}

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::Linear { x, weight, out, bias, residual, slice, scale, accumulate } = *op else { unreachable!("dispatched by kind") };
    // By the whole matrix: how many of its rows are at work depends on the strategy.
    let tile = tuning.linear.fitted(program.tensor(weight).row_count.div_ceil(4), together);
    let rows = slice_vec4s(slice);
    let launch = Launch::new(op.kind(), Grid::TokenTiles(rows.div_ceil(tile.workgroup_vec4s())))
        .write("x", x)
        .weight(program, weight)
        .write("out", out)
        .u32("in_vec4s", vec4s(program, weight))
        .u32("out_vec4s", vec4s(program, out))
        .u32("vec4s", rows)
        .u32("first_row", slice.row)
        .u32("first_col_vec4", slice.col / 4)
        .f32("scale", scale as f32)
        .period("x_period", program, x)
        .period("out_period", program, out)
        .period("residual_period", program, residual.unwrap_or(out))
        .token_tile(tile, together)
        .condition("RAGGED", tile.sharing != Sharing::Workgroup && !vec4s(program, weight).is_multiple_of(tile.at_once))
        .condition("ACCUMULATE", accumulate)
        .condition("BIAS", bias.is_some())
        .condition("RESIDUAL", residual.is_some());
    let launch = match bias {
        Some(bias) => launch.read("bias", bias),
        None => launch,
    };
    launch.write_if_any("residual", residual)
}
