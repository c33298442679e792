//! A thread has four columns of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::Embedding { input_ids, weight, out, first_id } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, out);
    Launch::new(op.kind(), Grid::ThreadsPerToken(row))
        .read("input_ids", input_ids)
        .weight(program, weight)
        .write("out", out)
        .u32("in_vec4s", row)
        .u32("first_id", first_id)
        .u32("ids", program.tensor(weight).row_count)
        .f32("scale", program.config.embedding_scale() as f32)
        .period("out_period", program, out)
}
