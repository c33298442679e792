//! A thread has a few query rows of one head.

use super::vec4s;
use crate::gpu::launch::{Grid, Launch};
use crate::gpu::tuning::{HeadTile, Sharing, Tuning};
use crate::step::{Op, Program, Rows, TOKEN_TILE, TensorId};

/// Groups of four of each of two operands that a workgroup's memory holds.
const STAGED_VEC4S: u32 = 512;

pub(super) fn launch(program: &Program, op: &Op, tuning: &Tuning) -> Launch {
    let Op::Attention { q, k, v, segment_start, out, stats, window } = *op else { unreachable!("dispatched by kind") };
    let launch = Launch::new(op.kind(), Grid::TokenTiles(program.config.num_attention_heads))
        .write("q", q)
        .write("k", k)
        .write("v", v)
        .read("segment_start", segment_start)
        .write("out", out)
        .write("stats", stats);
    heads(launch, program, k, window, tuning.attention).period("q_period", program, q).period("out_period", program, out).period(
        "stats_period",
        program,
        stats,
    )
}

/// What all three attention kernels are told about heads and about keys, whose rows are tokens of the batch or of a ring.
pub(super) fn heads(launch: Launch, program: &Program, k: TensorId, window: Option<u32>, tile: HeadTile) -> Launch {
    assert!(matches!(program.tensor(k).rows, Rows::Tokens | Rows::Ring(_)), "a layer's keys are those of all chunks that are seen");
    let config = &program.config;
    let head_vec4s = config.head_dim.div_ceil(4);
    let tokens = tile.tokens_of(head_vec4s);
    let staged = (STAGED_VEC4S / head_vec4s).clamp(4, TOKEN_TILE / 2) / 4 * 4;
    let step = match tile.sharing {
        Sharing::Direct => tile.at_once,
        Sharing::Subgroup(lanes) => lanes,
        Sharing::Workgroup => 1 << staged.ilog2(),
    };
    assert!(step.is_multiple_of(tile.at_once) && TOKEN_TILE.is_multiple_of(step), "{tile:?} with {step} tokens that are read together");
    launch
        .constant("HEAD_VEC4S", head_vec4s)
        .constant("LANES", TOKEN_TILE / tokens)
        .constant("TOKENS", tokens)
        .sharing(tile.sharing)
        .constant("AT_ONCE", tile.at_once)
        .constant("STEP", step)
        .u32("head_vec4s", head_vec4s)
        .u32("heads", config.num_attention_heads)
        .u32("queries_per_key", config.queries_per_key())
        .u32("keys_row_vec4s", vec4s(program, k))
        .period("keys_period", program, k)
        .f32("scale", config.attention_scale() as f32)
        .softcap(config.attn_logit_softcapping)
        .u32("window", window.unwrap_or(u32::MAX))
}
