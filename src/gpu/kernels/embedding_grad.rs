//! A thread has four columns of a word.

use super::{all_vec4s, vec4s};
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program, Rows};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::EmbeddingGrad { d_out, token_order, token_start, d_weight, first_id } = *op else { unreachable!("dispatched by kind") };
    assert!(program.tensor(d_out).rows == Rows::Tokens, "the order of the tokens is that of the batch");
    Launch::new(op.kind(), Grid::Threads(all_vec4s(program, d_weight)))
        .write("d_out", d_out)
        .read("token_order", token_order)
        .read("token_start", token_start)
        .write("d_weight", d_weight)
        .u32("row_vec4s", vec4s(program, d_weight))
        .u32("first_id", first_id)
        .u32("ids", program.tensor(d_weight).row_count.min(program.config.vocab_size - first_id))
        .f32("scale", program.config.embedding_scale() as f32)
}
