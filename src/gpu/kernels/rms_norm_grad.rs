//! A workgroup has a group of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::RmsNormGrad { rstd, weight, d_out, d_x, x, groups } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::PerToken(groups.count))
        .lanes_of_a_row(tuning)
        .write("rstd", rstd)
        .read("weight", weight)
        .write("d_out", d_out)
        .write("d_x", d_x)
        .u32("row_vec4s", vec4s(program, d_x) / groups.count)
        .u32("groups", groups.count)
        .f32("size", groups.size as f32)
        .period("rstd_period", program, rstd)
        .period("d_out_period", program, d_out)
        .period("d_x_period", program, d_x)
        .period("x_period", program, x.unwrap_or(d_x))
        .condition("ONE_PLUS", program.config.family().norms_add_one)
        .condition("X", x.is_some())
        .write_if_any("x", x)
}
