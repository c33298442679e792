//! Workgroups and threads as those of [`attention`](super::attention).

use super::attention::{heads, queries_of_tile, query_grid, step, visible_keys};
use super::kernel::Kernel;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::ops::AttentionQueryGrad;
use crate::step::{OpKind, Program, SUM_BLOCK};

impl Kernel for AttentionQueryGrad {
    fn dispatch(&self, program: &Program, tuning: &Tuning, chunk_len: u32) -> Option<Dispatch> {
        let AttentionQueryGrad { q, k, v, segment_start, out, d_out, stats, d_q, window } = *self;
        let tile = tuning.attention_query_grad;
        let queries = queries_of_tile(program, tuning, chunk_len);
        let dispatch = Dispatch::new(OpKind::AttentionQueryGrad, query_grid(program, tile, queries))
            .write("q", q)
            .write("k", k)
            .write("v", v)
            .read("segment_start", segment_start)
            .write("out", out)
            .write("d_out", d_out)
            .write("stats", stats)
            .write("d_q", d_q);
        let step = step(tile);
        let keys = visible_keys(program, window);
        Some(
            heads(dispatch, program, k, window, tile, queries)
                .iterations_of_batch(keys / SUM_BLOCK + keys / step + keys / tile.unroll)
                .row_modulus("q_row_modulus", program, q)
                .row_modulus("out_row_modulus", program, out)
                .row_modulus("d_out_row_modulus", program, d_out)
                .row_modulus("stats_row_modulus", program, stats)
                .row_modulus("d_q_row_modulus", program, d_q),
        )
    }
}
