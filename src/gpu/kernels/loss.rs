//! One workgroup for the whole batch.

use super::kernel::Kernel;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Loss;
use crate::step::{OpKind, Program};

impl Kernel for Loss {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let Loss { log_probs, loss_weight, metrics } = *self;
        Some(
            Dispatch::new(OpKind::Loss, Grid::Workgroups(1, 1))
                .threads_of_a_row(tuning)
                .write("log_probs", log_probs)
                .read("loss_weight", loss_weight)
                .write("metrics", metrics)
                .u32("tokens", program.tokens())
                .iterations_of_batch(program.tokens() / tuning.row_threads),
        )
    }
}
