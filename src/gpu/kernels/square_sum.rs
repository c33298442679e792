//! 256 threads for each row of partial sums.

use super::kernel::{Kernel, all_vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::SquareSum;
use crate::step::{OpKind, Program, SUM_BLOCK};

/// Adjacent threads that share a run of groups of four and take them alternately: the same number on every device.
const THREADS_TOGETHER: u32 = 8;

impl Kernel for SquareSum {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let SquareSum { x, partials, slot, slots } = *self;
        Some(
            Dispatch::new(OpKind::SquareSum, Grid::Workgroups(slots * program.tensor(partials).cols / tuning.row_threads, 1))
                .constant("WORKGROUP_SIZE", tuning.row_threads)
                .constant("TOGETHER", THREADS_TOGETHER)
                .constant("BLOCK", THREADS_TOGETHER * SUM_BLOCK / 4)
                .read("x", x)
                .write("partials", partials)
                .u32("vec4s", all_vec4s(program, x) as u32)
                .u32("slot", slot)
                .u32("slots", slots),
        )
    }
}
