//! One thread per token and four pairs, for all heads; or per token and head, for all pairs.

use super::kernel::Kernel;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Rope;
use crate::step::{OpKind, Program};

impl Kernel for Rope {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let Rope { x, segment_start, table, inverse, .. } = *self;
        let pairs = program.config().head_dim / 2;
        let head = program.config().head_dim.next_multiple_of(4);
        let row = program.tensor(x).cols;
        let wide = if pairs.is_multiple_of(4) { 4 } else { 1 };
        let threads = if wide > 1 { pairs / wide } else { row / head };
        let dispatch = Dispatch::new(OpKind::Rope, Grid::ThreadsPerToken(threads));
        Some(
            if wide > 1 { dispatch.follows_tiles_of(head / 4) } else { dispatch }
                .write("x", x)
                .read("segment_start", segment_start)
                .read("table", table)
                .condition("WIDE", wide > 1)
                .u32("half", pairs / wide)
                .u32("head_stride", head / wide)
                .u32("heads", row / head)
                .u32("row_stride", row / wide)
                .row_modulus("x_row_modulus", program, x)
                .f32("direction", if inverse { -1.0 } else { 1.0 }),
        )
    }
}
