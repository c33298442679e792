//! One workgroup has the batch.

use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::Loss { log_probs, loss_weight, metrics } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::Workgroups(1, 1))
        .lanes_of_a_row(tuning)
        .write("log_probs", log_probs)
        .read("loss_weight", loss_weight)
        .write("metrics", metrics)
        .u32("tokens", program.tokens())
}
