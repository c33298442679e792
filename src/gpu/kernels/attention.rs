//! A thread has a few query rows of one head.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::Tuning;
use crate::step::{Op, Program, TOKEN_TILE, TensorId};

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::Attention { q, k, v, segment_start, out, stats, window } = *op else { unreachable!("dispatched by kind") };
    let launch = Launch::new(op.kind(), Grid::TokenTiles(program.config.num_attention_heads))
        .write("q", q)
        .write("k", k)
        .write("v", v)
        .read("segment_start", segment_start)
        .write("out", out)
        .write("stats", stats);
    heads(launch, program, k, window, tuning).absolute("q_absolute", program, q).absolute("out_absolute", program, out).absolute(
        "stats_absolute",
        program,
        stats,
    )
}

/// What all three attention kernels are told about heads; keys and values are indexed by token of the batch.
pub(super) fn heads(launch: Launch, program: &Program, k: TensorId, window: Option<u32>, tuning: &Tuning) -> Launch {
    assert!(program.tensor(k).is_absolute(), "a layer's keys are those of the whole batch");
    let config = &program.config;
    let head_vec4s = config.head_dim.div_ceil(4);
    let tokens = tuning.attention.tokens_of(head_vec4s);
    launch
        .constant("HEAD_VEC4S", head_vec4s)
        .constant("LANES", TOKEN_TILE / tokens)
        .constant("TOKENS", tokens)
        .u32("head_vec4s", head_vec4s)
        .u32("heads", config.num_attention_heads)
        .u32("queries_per_key", config.queries_per_key())
        .u32("keys_row_vec4s", vec4s(program, k))
        .f32("scale", config.attention_scale() as f32)
        .softcap(config.attn_logit_softcapping)
        .u32("window", window.unwrap_or(u32::MAX))
}
