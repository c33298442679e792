//! One thread per token and four columns.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::CopyRows;
use crate::step::{OpKind, Program};

impl Kernel for CopyRows {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let CopyRows { x, out } = *self;
        let row = vec4s(program, out);
        Some(
            Dispatch::new(OpKind::CopyRows, Grid::ThreadsPerToken(row))
                .write("x", x)
                .write("out", out)
                .u32("row_vec4s", row)
                .row_modulus("x_row_modulus", program, x)
                .row_modulus("out_row_modulus", program, out),
        )
    }
}
