//! One workgroup has all partial sums.

use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::Clip { partials, settings, metrics } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::Workgroups(1, 1))
        .lanes_of_a_row(tuning)
        .write("partials", partials)
        .read("settings", settings)
        .write("metrics", metrics)
        .u32("partials", program.tensor(partials).elements() as u32)
}
