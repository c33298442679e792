//! 256 threads have a parameter.

use super::all_vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::SquareSum { x, partials, slot } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::Workgroups(program.tensor(partials).cols / tuning.row_lanes, 1))
        .constant("LANES", tuning.row_lanes)
        .read("x", x)
        .write("partials", partials)
        .u32("vec4s", all_vec4s(program, x) as u32)
        .u32("slot", slot)
}
