//! A workgroup has a token.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program, VOCAB_TILE};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::LogSumExp { logits, labels, stats, words } = *op else { unreachable!("dispatched by kind") };
    Launch::new(op.kind(), Grid::PerToken(1))
        .lanes_of_a_row(tuning)
        .write("logits", logits)
        .read("labels", labels)
        .write("stats", stats)
        .u32("row_vec4s", vec4s(program, logits))
        .u32("first_word", words.first)
        .u32("words", words.count)
        .u32("tile_vec4s", VOCAB_TILE / 4)
        .softcap(program.config.final_logit_softcapping)
        .period("logits_period", program, logits)
        .period("stats_period", program, stats)
}
