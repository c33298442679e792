//! A thread has a few query rows of one head.

use super::attention::heads;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::AttentionQueryGrad { q, k, v, segment_start, out, d_out, stats, d_q, window } = *op else { unreachable!("dispatched by kind") };
    let launch = Launch::new(op.kind(), Grid::TokenTiles(program.config.num_attention_heads))
        .write("q", q)
        .write("k", k)
        .write("v", v)
        .read("segment_start", segment_start)
        .write("out", out)
        .write("d_out", d_out)
        .write("stats", stats)
        .write("d_q", d_q);
    heads(launch, program, k, window, tuning.attention_query_grad)
        .period("q_period", program, q)
        .period("out_period", program, out)
        .period("d_out_period", program, d_out)
        .period("stats_period", program, stats)
        .period("d_q_period", program, d_q)
}
