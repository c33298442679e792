//! One thread per token and four columns.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::model::Activation;
use crate::step::ops::GluGrad;
use crate::step::{OpKind, Program};

impl Kernel for GluGrad {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let GluGrad { d_out, gate, up } = *self;
        let row = vec4s(program, d_out);
        Some(
            Dispatch::new(OpKind::GluGrad, Grid::ThreadsPerToken(row))
                .write("d_out", d_out)
                .write("gate", gate)
                .write("up", up)
                .u32("row_vec4s", row)
                .row_modulus("d_out_row_modulus", program, d_out)
                .row_modulus("gate_row_modulus", program, gate)
                .row_modulus("up_row_modulus", program, up)
                .follows_tiles_of(1)
                .condition("GELU", program.config().hidden_act == Activation::GeluTanh),
        )
    }
}
