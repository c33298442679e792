//! Some threads have four columns, and go through all tokens of the chunk, a tile at a time.

use super::vec4s;
use crate::gpu::launch::Launch;
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::BiasGrad { d_out, d_bias } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, d_bias);
    Launch::over_tokens(op.kind(), row, tuning).write("d_out", d_out).write("d_bias", d_bias).u32("row_vec4s", row).period(
        "d_out_period",
        program,
        d_out,
    )
}
