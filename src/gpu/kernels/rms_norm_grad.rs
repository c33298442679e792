//! A workgroup has a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::RmsNormGrad { rstd, weight, d_out, d_x, x } = *op else { unreachable!("dispatched by kind") };
    let launch = Launch::new(op.kind(), Grid::Tokens)
        .constant("LANES", tuning.row_lanes)
        .write("rstd", rstd)
        .read("weight", weight)
        .write("d_out", d_out)
        .write("d_x", d_x)
        .u32("row_vec4s", vec4s(program, d_x))
        .f32("size", program.config.hidden_size as f32)
        .absolute("rstd_absolute", program, rstd)
        .absolute("d_out_absolute", program, d_out)
        .absolute("d_x_absolute", program, d_x)
        .absolute("x_absolute", program, x.unwrap_or(d_x))
        .condition("X", x.is_some());
    match x {
        Some(x) => launch.write("x", x),
        None => launch,
    }
}
