//! Random numbers for tasks.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A random number below `n`.
pub(super) fn below(rng: &mut ChaCha8Rng, n: u32) -> u32 {
    (rng.next_u64() % u64::from(n)) as u32
}
