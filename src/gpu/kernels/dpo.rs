//! One workgroup for the whole batch, pair by pair.

use super::kernel::Kernel;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::objective::DpoLossType;
use crate::step::ops::Dpo;
use crate::step::{OpKind, Program};

impl Kernel for Dpo {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let Dpo { log_probs, sequence_start, ref_log_probs, loss_weight, sequence_log_probs, metrics, pairs, settings } = *self;
        Some(
            Dispatch::new(OpKind::Dpo, Grid::Workgroups(1, 1))
                .threads_of_a_row(tuning)
                .write("log_probs", log_probs)
                .read("sequence_start", sequence_start)
                .read("ref_log_probs", ref_log_probs)
                .write("loss_weight", loss_weight)
                .write("sequence_log_probs", sequence_log_probs)
                .write("metrics", metrics)
                .u32("pairs", pairs)
                .f32("beta", settings.beta as f32)
                .f32("label_smoothing", settings.label_smoothing as f32)
                .condition("HINGE", settings.loss_type == DpoLossType::Hinge)
                .condition("IPO", settings.loss_type == DpoLossType::Ipo)
                .iterations_of_batch(2 * program.tokens() / tuning.row_threads + 6 * pairs),
        )
    }
}
