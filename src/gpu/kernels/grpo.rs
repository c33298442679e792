//! One workgroup for the whole batch, sequence by sequence.

use super::kernel::Kernel;
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Grpo;
use crate::step::{ImportanceSamplingLevel, OpKind, Program};

impl Kernel for Grpo {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let Grpo { log_probs, sequence_start, advantages, loss_weight, sequence_metrics, metrics, sequences, settings, .. } = *self;
        let dispatch = Dispatch::new(OpKind::Grpo, Grid::Workgroups(1, 1))
            .threads_of_a_row(tuning)
            .write("log_probs", log_probs)
            .read("sequence_start", sequence_start)
            .read("advantages", advantages)
            .write("loss_weight", loss_weight)
            .write("sequence_metrics", sequence_metrics)
            .write("metrics", metrics)
            .u32("sequences", sequences)
            .f32("beta", settings.beta as f32)
            .f32("epsilon", settings.epsilon as f32)
            .f32("epsilon_high", settings.epsilon_high as f32)
            .condition("SEQUENCE", settings.importance_sampling_level == ImportanceSamplingLevel::Sequence)
            .condition("CORRECTED", settings.use_bias_correction_kl)
            .condition("OLD", self.old_log_probs.is_some())
            .condition("REFERENCE", self.ref_log_probs.is_some())
            .iterations_of_batch(2 * program.tokens() / tuning.row_threads + 7 * sequences);
        let optional = [("old_log_probs", self.old_log_probs), ("ref_log_probs", self.ref_log_probs)];
        Some(optional.into_iter().fold(dispatch, |dispatch, (name, tensor)| match tensor {
            Some(tensor) => dispatch.read(name, tensor),
            None => dispatch,
        }))
    }
}
