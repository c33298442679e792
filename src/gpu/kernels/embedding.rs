//! A thread has four columns of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Embedding { input_ids, weight, out } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, out);
    Launch::new(op.kind(), Grid::ThreadsPerToken(row))
        .read("input_ids", input_ids)
        .read("weight", weight)
        .write("out", out)
        .u32("row_vec4s", row)
        .absolute("out_absolute", program, out)
}
