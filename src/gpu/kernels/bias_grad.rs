//! A thread has four columns, and goes through all tokens of the chunk.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::BiasGrad { d_out, d_bias } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, d_bias);
    Launch::new(op.kind(), Grid::Workgroups(row.div_ceil(32), 1))
        .write("d_out", d_out)
        .write("d_bias", d_bias)
        .u32("row_vec4s", row)
        .period("d_out_period", program, d_out)
}
