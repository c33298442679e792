//! A thread has a few keys of one key/value head, and goes through all queries of the chunk.

use super::attention::heads;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::AttentionKeyValueGrad { q, k, v, segment_start, d_out, stats, d_k, d_v, window } = *op else {
        unreachable!("dispatched by kind")
    };
    let tile = tuning.attention_key_value_grad;
    let grid = Grid::KeyTiles { window: window.unwrap_or(u32::MAX), others: program.config.num_key_value_heads };
    let launch = Launch::new(op.kind(), grid)
        .write("q", q)
        .write("k", k)
        .write("v", v)
        .read("segment_start", segment_start)
        .write("d_out", d_out)
        .write("stats", stats)
        .write("d_k", d_k)
        .write("d_v", d_v);
    heads(launch, program, k, window, tile).period("q_period", program, q).period("d_out_period", program, d_out).period(
        "stats_period",
        program,
        stats,
    )
}
