//! `out = softmax(q·kᵀ/√E)·v` for a token of each completion, over the keys of the prompt and of the completion.

use super::heads::Heads;
use super::rows::{add_scaled, dot};
use super::sample::{PREFIX, word};
use super::scope::{Reference, Scope};
use crate::step::ops::DecodeAttention;

impl Reference for DecodeAttention {
    /// `q` and `out` (C×H·E), keys and values of the prompt (P×K·E, or rings) and of the completions (M·G×K·E, or rings), `sampling` (16).
    fn run(&self, scope: &mut Scope<'_>) {
        let DecodeAttention { q, prompt_k, prompt_v, k, v, sampling, out, rows, first_token, window } = *self;
        let heads = Heads::new(scope.config, scope.chunk, window);
        let (rows, first_token) = (rows as usize, first_token as usize);
        let place = (scope.chunk.start as usize - first_token) / rows;
        let [prompt_k, prompt_v] = [prompt_k, prompt_v].map(|id| scope.whole(id));
        let [q, k, v, sampling, mut out] = scope.operands([q, k, v, sampling, out]);
        let prefix = word(&sampling, PREFIX) as usize;
        let first = (prefix + place + 1).saturating_sub(window.map_or(usize::MAX, |window| window as usize));
        for i in 0..out.len() {
            let own = |place: usize| first_token + place * rows + i;
            let of_prompt = (first.min(prefix)..prefix).map(|key| (prompt_k.token(key), prompt_v.token(key)));
            let of_completion = (first.max(prefix) - prefix..=place).map(|key| (k.token(own(key)), v.token(own(key))));
            let keys: Vec<(&[f64], &[f64])> = of_prompt.chain(of_completion).collect();
            for head in 0..heads.count {
                let query = &q.row(i)[heads.range(head)];
                let scores: Vec<f64> = keys.iter().map(|(key, _)| heads.scale * dot(query, &key[heads.key_range(head)])).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|score| (score - top).exp()).sum();
                let out = &mut out.row_mut(i)[heads.range(head)];
                out.fill(0.0);
                for ((_, value), score) in keys.iter().zip(scores) {
                    add_scaled(out, (score - top).exp() / sum, &value[heads.key_range(head)]);
                }
            }
        }
    }
}
