//! One workgroup has all partial sums.

use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Clip { partials, settings, metrics } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::Workgroups(1, 1))
        .write("partials", partials)
        .read("settings", settings)
        .write("metrics", metrics)
        .u32("partials", program.tensor(partials).len() as u32)
}
