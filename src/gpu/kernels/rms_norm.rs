//! A workgroup has a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::RmsNorm { x, weight, out, rstd } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::Tokens)
        .constant("LANES", tuning.row_lanes)
        .write("x", x)
        .read("weight", weight)
        .write("out", out)
        .write("rstd", rstd)
        .u32("row_vec4s", vec4s(program, x))
        .f32("size", program.config.hidden_size as f32)
        .f32("epsilon", program.config.rms_norm_eps as f32)
        .absolute("x_absolute", program, x)
        .absolute("out_absolute", program, out)
        .absolute("rstd_absolute", program, rstd)
}
