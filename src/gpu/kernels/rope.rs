//! A thread has a pair of a token.

use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Rope { x, segment_start, table, inverse, .. } = *op else { unreachable!("dispatched by kind") };
    let half = program.config.head_dim / 2;
    let head = program.config.head_dim.next_multiple_of(4);
    let row = program.tensor(x).cols;
    let pairs = row / head * half;
    Launch::new(op.kind(), Grid::ThreadsPerToken(pairs))
        .write("x", x)
        .read("segment_start", segment_start)
        .read("table", table)
        .u32("half", half)
        .u32("head_stride", head)
        .u32("row_pairs", pairs)
        .u32("row_stride", row)
        .period("x_period", program, x)
        .f32("direction", if inverse { -1.0 } else { 1.0 })
}
