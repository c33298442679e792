//! A thread has four elements.

use super::{all_vec4s, vec4s};
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program, Rows};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Zero { out } = *op else { unreachable!("dispatched by kind") };
    if let Rows::Fixed(_) = program.tensor(out).rows {
        let vec4s = all_vec4s(program, out);
        return Launch::new(op.kind(), Grid::Threads(vec4s)).write("out", out).u32("vec4s", vec4s as u32);
    }
    let row = vec4s(program, out);
    Launch::new(op.kind(), Grid::ThreadsPerToken(row))
        .write("out", out)
        .u32("row_vec4s", row)
        .period("out_period", program, out)
        .condition("TOKENS", true)
}
