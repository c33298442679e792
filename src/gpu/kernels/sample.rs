//! One workgroup per completion.

use super::kernel::{Kernel, vec4s};
use crate::gpu::dispatch::{Dispatch, Grid};
use crate::gpu::tuning::Tuning;
use crate::step::ops::Sample;
use crate::step::{OpKind, Program};

/// Groups of four logits per iteration of a thread.
const UNROLL: u32 = 5;
/// How often a thread goes through its part of a row.
const PASSES: u32 = 36;
/// How often it goes through what the others have found, and through the digits of a threshold.
const OTHERS: u32 = 40;

impl Kernel for Sample {
    fn dispatch(&self, program: &Program, tuning: &Tuning, _: u32) -> Option<Dispatch> {
        let Sample { logits, sampling, input_ids, log_probs, rows, first_token } = *self;
        let (row_vec4s, threads) = (vec4s(program, logits), tuning.row_threads);
        Some(
            Dispatch::new(OpKind::Sample, Grid::PerToken(1))
                .constant("WORKGROUP_SIZE", threads)
                .constant("UNROLL", UNROLL)
                .write("logits", logits)
                .read("sampling", sampling)
                .write("input_ids", input_ids)
                .write("log_probs", log_probs)
                .u32("row_vec4s", row_vec4s)
                .u32("ids", program.config().vocab_size)
                .u32("rows", rows)
                .u32("first_token", first_token)
                .softcap(program.config().final_logit_softcapping)
                .row_modulus("logits_row_modulus", program, logits)
                .iterations_of_batch(
                    PASSES * row_vec4s.div_ceil(UNROLL * threads) + row_vec4s.div_ceil(4 * threads) + OTHERS * (1 + threads),
                ),
        )
    }
}
