//! With `p = softmax(q·kᵀ/√E)`: `d_v += Σ p · d_out` and `d_k += Σ p · (d_out·v − d_out·out) · q / √E` over the chunk's queries to which
//! the key is visible, and over the query heads that share it.

use super::heads::Heads;
use super::rows::{add_scaled, dot, for_each_row};
use super::scope::{Reference, Scope};
use crate::step::ops::AttentionKeyValueGrad;

impl Reference for AttentionKeyValueGrad {
    /// `q` and `d_out` (C×H·E), `k`, `v`, `d_k` and `d_v` (N×K·E, or a ring), `segment_start` (N), `stats` (C×H×2) with log-sum-exp and
    /// `d_out·out`.
    fn run(&self, scope: &mut Scope<'_>) {
        let AttentionKeyValueGrad { q, k, v, segment_start, d_out, stats, d_k, d_v, window } = *self;
        let heads = Heads::new(scope.config, scope.chunk, window);
        let [q, k, v, segment_start, d_out, stats, mut d_k, mut d_v] = scope.operands([q, k, v, segment_start, d_out, stats, d_k, d_v]);
        let (d_k_cols, d_v_cols) = (d_k.cols(), d_v.cols());
        let ((d_k, token), (d_v, _)) = (d_k.prefix_mut(), d_v.prefix_mut());
        for_each_row([(d_k, d_k_cols), (d_v, d_v_cols)], |row, [d_k, d_v]| {
            let j = token(row);
            for i in (0..q.len()).rev().filter(|&i| heads.keys_of(i, &segment_start).contains(&j)) {
                for head in 0..heads.count {
                    let (queries, keys) = (heads.range(head), heads.key_range(head));
                    let d_out = &d_out.row(i)[queries.clone()];
                    let (log_sum, around) = (stats.row(i)[2 * head], stats.row(i)[2 * head + 1]);
                    let score = heads.score(&q, &k, i, j, head);
                    let p = (score - log_sum).exp();
                    let d_score = p * (dot(d_out, &v.token(j)[keys.clone()]) - around);
                    add_scaled(&mut d_v[keys.clone()], p, d_out);
                    add_scaled(&mut d_k[keys], d_score * heads.scale, &q.row(i)[queries]);
                }
            }
        });
    }
}
