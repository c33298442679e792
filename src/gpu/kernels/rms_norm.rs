//! A workgroup has a group of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::RmsNorm { x, weight, out, rstd, residual, groups } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::PerToken(groups.count))
        .lanes_of_a_row(tuning)
        .write("x", x)
        .read("weight", weight)
        .write("out", out)
        .write("rstd", rstd)
        .u32("row_vec4s", vec4s(program, x) / groups.count)
        .u32("groups", groups.count)
        .f32("size", groups.size as f32)
        .f32("epsilon", program.config.rms_norm_eps as f32)
        .period("x_period", program, x)
        .period("out_period", program, out)
        .period("rstd_period", program, rstd)
        .period("residual_period", program, residual.unwrap_or(out))
        .condition("ONE_PLUS", program.config.family().norms_add_one)
        .condition("RESIDUAL", residual.is_some())
        .write_if_any("residual", residual)
}
