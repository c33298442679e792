//! One thread per token and four columns.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::model::Activation;
use crate::step::ops::Glu;
use crate::step::{OpKind, Program};

impl Kernel for Glu {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let Glu { gate, up, out } = *self;
        let row = vec4s(program, out);
        Some(
            Dispatch::new(OpKind::Glu, Grid::ThreadsPerToken(row))
                .write("gate", gate)
                .write("up", up)
                .write("out", out)
                .u32("row_vec4s", row)
                .row_modulus("gate_row_modulus", program, gate)
                .row_modulus("up_row_modulus", program, up)
                .row_modulus("out_row_modulus", program, out)
                .condition("GELU", program.config().hidden_act == Activation::GeluTanh),
        )
    }
}
