//! One workgroup per token and group of its row.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::RmsNormGrad;
use crate::step::{OpKind, Program};

impl Kernel for RmsNormGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let RmsNormGrad { rstd, weight, d_out, d_x, x, groups } = *self;
        Some(
            Dispatch::new(OpKind::RmsNormGrad, Grid::PerToken(groups.count))
                .threads_of_a_row(tuning)
                .write("rstd", rstd)
                .read("weight", weight)
                .write("d_out", d_out)
                .write("d_x", d_x)
                .u32("row_vec4s", vec4s(program, d_x) / groups.count)
                .u32("groups", groups.count)
                .f32("size", groups.size as f32)
                .row_modulus("rstd_row_modulus", program, rstd)
                .row_modulus("d_out_row_modulus", program, d_out)
                .row_modulus("d_x_row_modulus", program, d_x)
                .row_modulus("x_row_modulus", program, x.unwrap_or(d_x))
                .condition("ONE_PLUS", program.config().family().norms_add_one)
                .condition("X", x.is_some())
                .write_if_any("x", x),
        )
    }
}
