//! Some threads have four columns, and go through all tokens of the chunk, a tile at a time.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::BiasGrad { d_out, d_bias } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, d_bias);
    let col_lanes = tuning.row_lanes / tuning.token_lanes();
    Launch::new(op.kind(), Grid::Workgroups(row.div_ceil(col_lanes), 1))
        .constant("LANES", tuning.row_lanes)
        .constant("COL_LANES", col_lanes)
        .constant("TOKEN_LANES", tuning.token_lanes())
        .condition("SPLIT", tuning.token_lanes() > 1)
        .write("d_out", d_out)
        .write("d_bias", d_bias)
        .u32("row_vec4s", row)
        .period("d_out_period", program, d_out)
}
