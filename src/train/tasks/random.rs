//! Random numbers for tasks.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A random number below `n`.
pub(super) fn below(rng: &mut ChaCha8Rng, n: u32) -> u32 {
    (rng.next_u64() % u64::from(n)) as u32
}

/// A random number from `least` to `most`.
pub(super) fn between(rng: &mut ChaCha8Rng, least: u32, most: u32) -> u32 {
    least + below(rng, most - least + 1)
}

/// The numbers below `n` in random order (Fisher-Yates).
pub(super) fn shuffled(rng: &mut ChaCha8Rng, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    (1..n).rev().for_each(|i| order.swap(i as usize, below(rng, i + 1) as usize));
    order
}
