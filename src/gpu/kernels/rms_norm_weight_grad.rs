//! A few threads per four columns, which go through all tokens of the chunk tile by tile.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::ops::RmsNormWeightGrad;
use crate::step::{OpKind, Program};

impl Kernel for RmsNormWeightGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let RmsNormWeightGrad { x, rstd, d_out, d_weight, groups } = *self;
        let row = vec4s(program, d_weight);
        let together = 1 << groups.count.trailing_zeros().min(2);
        Some(
            Dispatch::over_tokens(OpKind::RmsNormWeightGrad, row, tuning, groups.count / together)
                .write("x", x)
                .write("rstd", rstd)
                .write("d_out", d_out)
                .write("d_weight", d_weight)
                .constant("GROUPS_TOGETHER", together)
                .u32("row_vec4s", row)
                .u32("groups", groups.count)
                .row_modulus("x_row_modulus", program, x)
                .row_modulus("rstd_row_modulus", program, rstd)
                .row_modulus("d_out_row_modulus", program, d_out),
        )
    }
}
