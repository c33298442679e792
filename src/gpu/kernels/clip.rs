//! One workgroup for all partial sums.

use super::kernel::Kernel;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Clip;
use crate::step::{OpKind, Program};

impl Kernel for Clip {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let Clip { partials, adamw_params, metrics } = *self;
        Some(
            Dispatch::new(OpKind::Clip, Grid::Workgroups(1, 1))
                .threads_of_a_row(tuning)
                .write("partials", partials)
                .read("adamw_params", adamw_params)
                .write("metrics", metrics)
                .u32("partials", program.tensor(partials).elements() as u32),
        )
    }
}
