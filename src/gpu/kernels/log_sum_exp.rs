//! One workgroup per token.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::LogSumExp;
use crate::step::{OpKind, Program, VOCAB_TILE};

impl Kernel for LogSumExp {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let LogSumExp { logits, labels, stats, range, temperature } = *self;
        Some(
            Dispatch::new(OpKind::LogSumExp, Grid::PerToken(1))
                .threads_of_a_row(tuning)
                .write("logits", logits)
                .read("labels", labels)
                .write("stats", stats)
                .u32("row_vec4s", vec4s(program, logits))
                .u32("first_id", range.first)
                .u32("ids", range.count)
                .u32("tile_vec4s", VOCAB_TILE / 4)
                .softcap(program.config().final_logit_softcapping)
                .temperature(temperature)
                .row_modulus("logits_row_modulus", program, logits)
                .row_modulus("stats_row_modulus", program, stats),
        )
    }
}
