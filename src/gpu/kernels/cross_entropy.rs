//! One thread per token and four token ids of the vocabulary.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::CrossEntropy;
use crate::step::{OpKind, Program};

impl Kernel for CrossEntropy {
    fn dispatch(&self, program: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        let CrossEntropy { logits, labels, loss_weight, stats, log_probs, range, temperature } = *self;
        let row = vec4s(program, logits);
        Some(
            Dispatch::new(OpKind::CrossEntropy, Grid::ThreadsPerToken(row))
                .write("logits", logits)
                .read("labels", labels)
                .read("loss_weight", loss_weight)
                .write("stats", stats)
                .write("log_probs", log_probs)
                .u32("row_vec4s", row)
                .u32("first_id", range.first)
                .u32("ids", range.count)
                .softcap(program.config().final_logit_softcapping)
                .temperature(temperature)
                .row_modulus("logits_row_modulus", program, logits)
                .row_modulus("stats_row_modulus", program, stats),
        )
    }
}
