//! A thread has one or four pairs of a token, in all heads.

use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Rope { x, segment_start, table, inverse, .. } = *op else { unreachable!("dispatched by kind") };
    let pairs = program.config.head_dim / 2;
    let head = program.config.head_dim.next_multiple_of(4);
    let row = program.tensor(x).cols;
    let wide = if pairs.is_multiple_of(4) { 4 } else { 1 };
    Launch::new(op.kind(), Grid::ThreadsPerToken(pairs / wide))
        .write("x", x)
        .read("segment_start", segment_start)
        .read("table", table)
        .condition("WIDE", wide > 1)
        .u32("half", pairs / wide)
        .u32("head_stride", head / wide)
        .u32("heads", row / head)
        .u32("row_stride", row / wide)
        .period("x_period", program, x)
        .f32("direction", if inverse { -1.0 } else { 1.0 })
}
