//! Chooses the next token of each completion by its logits.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::log_sum_exp::capped;
use super::scope::{Reference, Scope};
use super::tensors::Matrix;
use crate::step::ops::Sample;

/// Places of the fields of [`Sampling`](crate::step::roll_out::Sampling), in words.
const TEMPERATURE: usize = 8;
const TOP_P: usize = 9;
const TOP_K: usize = 10;
const FIRST_COMPLETION: usize = 11;
pub(super) const PREFIX: usize = 12;

/// A word of how to sample.
pub(super) fn word(sampling: &Matrix, place: usize) -> u32 {
    sampling.row(0)[place] as u32
}

impl Reference for Sample {
    /// `logits` (C×V), `sampling` (16), and by the number of a token: `input_ids`, `log_probs` (M·G).
    fn run(&self, scope: &mut Scope<'_>) {
        let Sample { logits, sampling, input_ids, log_probs, rows, first_token } = *self;
        let (cap, vocab, start) = (scope.config.final_logit_softcapping, scope.config.vocab_size as usize, scope.chunk.start);
        let [logits, sampling, input_ids, log_probs] = scope.operands([logits, sampling, input_ids, log_probs]);
        let place = (start - first_token) / rows;
        for i in 0..logits.len() {
            let row: Vec<f64> = logits.row(i)[..vocab].iter().map(|&logit| capped(logit, cap)).collect();
            let id = choose(&row, &sampling, place, word(&sampling, FIRST_COMPLETION) + i as u32);
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = top + row.iter().map(|logit| (logit - top).exp()).sum::<f64>().ln();
            input_ids.all[(start + rows) as usize + i] = id as f64;
            log_probs.all[(start - first_token) as usize + i] = row[id] - log_sum;
        }
    }
}

/// The token that a completion takes at a place.
fn choose(logits: &[f64], sampling: &Matrix, place: u32, completion: u32) -> usize {
    let real = |at| f64::from(f32::from_bits(word(sampling, at)));
    let temperature = real(TEMPERATURE);
    let best_of = |score: &dyn Fn(usize) -> f64, ids: &[usize]| {
        ids.iter().copied().fold(ids[0], |best, id| if score(id) > score(best) { id } else { best })
    };
    let mut ids: Vec<usize> = (0..logits.len()).collect();
    if temperature == 0.0 {
        return best_of(&|id| logits[id], &ids);
    }
    let scaled: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
    ids.sort_by(|&a, &b| scaled[b].total_cmp(&scaled[a]));
    ids.truncate(word(sampling, TOP_K) as usize);
    let weight = |&id: &usize| (scaled[id] - scaled[ids[0]]).exp();
    let most = real(TOP_P) * ids.iter().map(weight).sum::<f64>();
    let before = ids.iter().map(weight).scan(0.0, |sum, weight| {
        let before = *sum;
        *sum += weight;
        Some(before)
    });
    let kept = before.take_while(|&before| before < most).count();
    let mut ids = ids[..kept.max(1)].to_vec();
    ids.sort_unstable();
    let noise = noise(sampling, place, completion, logits.len());
    best_of(&|id| scaled[id] - noise[id], &ids)
}

/// `ln e` of each token of the vocabulary, where the `e` have an exponential distribution.
fn noise(sampling: &Matrix, place: u32, completion: u32, vocab: usize) -> Vec<f64> {
    let mut key = [0; 32];
    key.chunks_exact_mut(4).enumerate().for_each(|(at, bytes)| bytes.copy_from_slice(&word(sampling, at).to_le_bytes()));
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(u64::from(completion) << 32 | u64::from(place));
    (0..vocab).map(|_| (-(-(f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0).ln_1p()).ln()).collect()
}
