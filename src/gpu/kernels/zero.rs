//! A thread has four elements.

use super::all_vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Zero { out } = *op else { unreachable!("dispatched by kind") };
    let vec4s = all_vec4s(program, out);
    Launch::new(op.kind(), Grid::Threads(vec4s)).write("out", out).u32("vec4s", vec4s as u32)
}
