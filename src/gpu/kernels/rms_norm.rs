//! One workgroup per token and group of its row.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::RmsNorm;
use crate::step::{OpKind, Program};

impl Kernel for RmsNorm {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let RmsNorm { x, weight, out, rstd, residual, groups } = *self;
        Some(
            Dispatch::new(OpKind::RmsNorm, Grid::PerToken(groups.count))
                .threads_of_a_row(tuning)
                .write("x", x)
                .read("weight", weight)
                .write("out", out)
                .write("rstd", rstd)
                .u32("row_vec4s", vec4s(program, x) / groups.count)
                .u32("groups", groups.count)
                .f32("size", groups.size as f32)
                .f32("epsilon", program.config().rms_norm_eps as f32)
                .row_modulus("x_row_modulus", program, x)
                .row_modulus("out_row_modulus", program, out)
                .row_modulus("rstd_row_modulus", program, rstd)
                .row_modulus("residual_row_modulus", program, residual.unwrap_or(out))
                .condition("ONE_PLUS", program.config().family().norms_add_one)
                .condition("RESIDUAL", residual.is_some())
                .write_if_any("residual", residual),
        )
    }
}
