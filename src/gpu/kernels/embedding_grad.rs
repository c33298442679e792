//! One thread per token id and four columns.

use super::kernel::{Kernel, all_vec4s, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::EmbeddingGrad;
use crate::step::{OpKind, Program, Rows};

impl Kernel for EmbeddingGrad {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let EmbeddingGrad { d_out, token_order, token_start, d_weight, first_id } = *self;
        assert!(program.tensor(d_out).rows == Rows::Tokens, "the order of the tokens is that of the batch");
        Some(
            Dispatch::new(OpKind::EmbeddingGrad, Grid::Threads(all_vec4s(program, d_weight)))
                .write("d_out", d_out)
                .read("token_order", token_order)
                .read("token_start", token_start)
                .write("d_weight", d_weight)
                .u32("row_vec4s", vec4s(program, d_weight))
                .u32("first_id", first_id)
                .u32("ids", program.tensor(d_weight).row_count.min(program.config().vocab_size - first_id))
                .f32("scale", program.config().embedding_scale() as f32)
                .row_modulus("d_out_row_modulus", program, d_out),
        )
    }
}
