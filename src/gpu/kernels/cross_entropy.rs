//! A workgroup has a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::CrossEntropy { logits, labels, loss_weight, log_probs } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::Tokens)
        .constant("LANES", tuning.row_lanes)
        .write("logits", logits)
        .read("labels", labels)
        .read("loss_weight", loss_weight)
        .write("log_probs", log_probs)
        .u32("row_vec4s", vec4s(program, logits))
        .u32("vocab_size", program.config.vocab_size)
        .absolute("logits_absolute", program, logits)
}
