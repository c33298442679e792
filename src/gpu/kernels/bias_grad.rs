//! A few threads per four columns, which go through all tokens of the chunk tile by tile.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::ops::BiasGrad;
use crate::step::{OpKind, Program};

impl Kernel for BiasGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let BiasGrad { d_out, d_bias } = *self;
        let row = vec4s(program, d_bias);
        Some(
            Dispatch::over_tokens(OpKind::BiasGrad, row, tuning, 0)
                .write("d_out", d_out)
                .write("d_bias", d_bias)
                .u32("row_vec4s", row)
                .row_modulus("d_out_row_modulus", program, d_out),
        )
    }
}
