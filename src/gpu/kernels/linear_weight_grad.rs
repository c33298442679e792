//! A thread has a few groups of rows and of columns, and goes through all tokens of the chunk.

use super::{slice_vec4s, vec4s};
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

/// Tokens that a workgroup reads into its memory at once: a divisor of a token tile.
const STAGED_TOKENS: u32 = 8;

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::LinearWeightGrad { d_out, x, d_weight, slice } = *op else { unreachable!("dispatched by kind") };
    // By the whole matrix: how many of its rows are at work depends on the strategy.
    let tile = tuning.linear_weight_grad.fitted(program.tensor(d_weight).row_count.div_ceil(4));
    let columns = vec4s(program, d_weight);
    let rows = slice_vec4s(slice);
    Launch::new(op.kind(), Grid::Workgroups(columns.div_ceil(tile.lanes * tile.cols), rows.div_ceil(tile.row_lanes * tile.vec4s)))
        .write("d_out", d_out)
        .write("x", x)
        .write("d_weight", d_weight)
        .u32("in_vec4s", columns)
        .u32("out_vec4s", vec4s(program, d_out))
        .u32("vec4s", rows)
        .u32("first_row", slice.row)
        .u32("first_col_vec4", slice.col / 4)
        .period("d_out_period", program, d_out)
        .period("x_period", program, x)
        .shared(tile.sharing, tile.vec4s, |lanes| lanes)
        .constant("LANES", tile.lanes * tile.row_lanes)
        .constant("COL_LANES", tile.lanes)
        .constant("ROW_LANES", tile.row_lanes)
        .constant("COLS", tile.cols)
        .constant("STEP", STAGED_TOKENS)
        .constant("AT_ONCE", tile.at_once)
}
