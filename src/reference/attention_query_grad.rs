//! With `p = softmax(q·kᵀ/√E)`: `d_q = Σ p · (d_out·v − d_out·out) · k / √E` over the visible keys.

use super::heads::Heads;
use super::rows::{add_scaled, dot, for_each_row};
use super::scope::{Reference, Scope};
use crate::step::ops::AttentionQueryGrad;

impl Reference for AttentionQueryGrad {
    /// `q`, `out`, `d_out` and `d_q` (C×H·E), `k` and `v` (N×K·E, or rings), `segment_start` (N), `stats` (C×H×2). Sets the second number
    /// of `stats` to `d_out·out`.
    fn run(&self, scope: &mut Scope<'_>) {
        let AttentionQueryGrad { q, k, v, segment_start, out, d_out, stats, d_q, window } = *self;
        let heads = Heads::new(scope.config, scope.chunk, window);
        let [q, k, v, segment_start, out, d_out, mut stats, mut d_q] = scope.operands([q, k, v, segment_start, out, d_out, stats, d_q]);
        let (stats_cols, d_q_cols) = (stats.cols(), d_q.cols());
        for_each_row([(stats.rows_mut(), stats_cols), (d_q.rows_mut(), d_q_cols)], |i, [stats, d_q]| {
            for head in 0..heads.count {
                let d_out = &d_out.row(i)[heads.range(head)];
                let (log_sum, around) = (stats[2 * head], dot(d_out, &out.row(i)[heads.range(head)]));
                let d_q = &mut d_q[heads.range(head)];
                d_q.fill(0.0);
                for j in heads.keys_of(i, &segment_start) {
                    let score = heads.score(&q, &k, i, j, head);
                    let p = (score - log_sum).exp();
                    let d_score = p * (dot(d_out, &v.token(j)[heads.key_range(head)]) - around);
                    add_scaled(d_q, d_score * heads.scale, &k.token(j)[heads.key_range(head)]);
                }
                stats[2 * head + 1] = around;
            }
        });
    }
}
