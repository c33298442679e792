//! A thread has four words of a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op) -> Launch {
    let Op::CrossEntropy { logits, labels, loss_weight, stats, log_probs, words } = *op else { unreachable!("dispatched by kind") };
    let row = vec4s(program, logits);
    Launch::new(op.kind(), Grid::ThreadsPerToken(row))
        .write("logits", logits)
        .read("labels", labels)
        .read("loss_weight", loss_weight)
        .write("stats", stats)
        .write("log_probs", log_probs)
        .u32("row_vec4s", row)
        .u32("first_word", words.first)
        .u32("words", words.count)
        .softcap(program.config.final_logit_softcapping)
        .period("logits_period", program, logits)
        .period("stats_period", program, stats)
}
