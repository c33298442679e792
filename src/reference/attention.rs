//! `out = softmax(q·kᵀ/√E)·v` over the visible keys, and the log-sum-exp of each row.

use super::heads::Heads;
use super::rows::{add_scaled, for_each_row};
use super::scope::{Reference, Scope};
use crate::step::ops::Attention;

impl Reference for Attention {
    /// `q` (C×H·E), `k` and `v` (N×K·E, or rings), `segment_start` (N), `out` (C×H·E), `stats` (C×H×2). The second number of `stats` is
    /// zero until the backward pass sets it.
    fn run(&self, scope: &mut Scope<'_>) {
        let Attention { q, k, v, segment_start, out, stats, window } = *self;
        let heads = Heads::new(scope.config, scope.chunk, window);
        let [q, k, v, segment_start, mut out, mut stats] = scope.operands([q, k, v, segment_start, out, stats]);
        let (out_cols, stats_cols) = (out.cols(), stats.cols());
        for_each_row([(out.rows_mut(), out_cols), (stats.rows_mut(), stats_cols)], |i, [out, stats]| {
            let keys = heads.keys_of(i, &segment_start);
            for head in 0..heads.count {
                let scores: Vec<f64> = keys.clone().map(|j| heads.score(&q, &k, i, j, head)).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let log_sum = top + scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln();
                let out = &mut out[heads.range(head)];
                out.fill(0.0);
                for (j, s) in keys.clone().zip(scores) {
                    add_scaled(out, (s - log_sum).exp(), &v.token(j)[heads.key_range(head)]);
                }
                stats[2 * head..][..2].copy_from_slice(&[log_sum, 0.0]);
            }
        });
    }
}
