//! Some threads have four columns, and go through all tokens of the chunk, a tile at a time.

use super::vec4s;
use crate::gpu::launch::Launch;
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::RmsNormWeightGrad { x, rstd, d_out, d_weight, groups } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, d_weight);
    Launch::over_tokens(op.kind(), row, tuning)
        .write("x", x)
        .write("rstd", rstd)
        .write("d_out", d_out)
        .write("d_weight", d_weight)
        .u32("row_vec4s", row)
        .u32("groups", groups.count)
        .period("x_period", program, x)
        .period("rstd_period", program, rstd)
        .period("d_out_period", program, d_out)
}
