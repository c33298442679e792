//! One thread per four elements.

use super::kernel::{Kernel, all_vec4s, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Zero;
use crate::step::{OpKind, Program, Rows};

impl Kernel for Zero {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let Zero { out, all } = *self;
        if all || matches!(program.tensor(out).rows, Rows::Fixed(_)) {
            let vec4s = all_vec4s(program, out);
            return Some(Dispatch::new(OpKind::Zero, Grid::Threads(vec4s)).write("out", out).u32("vec4s", vec4s as u32));
        }
        let row = vec4s(program, out);
        Some(
            Dispatch::new(OpKind::Zero, Grid::ThreadsPerToken(row))
                .write("out", out)
                .u32("row_vec4s", row)
                .row_modulus("out_row_modulus", program, out)
                .condition("TOKENS", true),
        )
    }
}
