//! One thread per token and four columns.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Embedding;
use crate::step::{OpKind, Program};

impl Kernel for Embedding {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let Embedding { input_ids, weight, out, first_id } = *self;
        let row = vec4s(program, out);
        Some(
            Dispatch::new(OpKind::Embedding, Grid::ThreadsPerToken(row))
                .read("input_ids", input_ids)
                .weight(program, weight)
                .write("out", out)
                .u32("in_vec4s", row)
                .u32("first_id", first_id)
                .u32("ids", program.tensor(weight).row_count)
                .f32("scale", program.config().embedding_scale() as f32)
                .row_modulus("out_row_modulus", program, out),
        )
    }
}
