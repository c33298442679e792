//! 256 threads per tensor.

use super::kernel::{Fusion, Kernel, all_vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::SquareSum;
use crate::step::{OpKind, Program, SUM_BLOCK};

/// Adjacent threads that share a run of groups of four and take them alternately: the same number on every device.
const THREADS_TOGETHER: u32 = 8;

impl Kernel for SquareSum {
    fn fusion(&self) -> Fusion {
        // Each operation writes its own row.
        Fusion::Parallel { writes_own_part: true }
    }

    fn dispatch(&self, program: &Program, tuning: &Tuning) -> Option<Dispatch> {
        let SquareSum { x, partials, slot } = *self;
        Some(
            Dispatch::new(OpKind::SquareSum, Grid::Workgroups(program.tensor(partials).cols / tuning.row_threads, 1))
                .constant("WORKGROUP_SIZE", tuning.row_threads)
                .constant("TOGETHER", THREADS_TOGETHER)
                .constant("BLOCK", THREADS_TOGETHER * SUM_BLOCK / 4)
                .read("x", x)
                .write("partials", partials)
                .u32("vec4s", all_vec4s(program, x) as u32)
                .u32("slot", slot),
        )
    }
}
