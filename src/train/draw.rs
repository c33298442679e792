//! Shared by all kinds of datasets: random numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The most batches of a validation.
pub(super) const VALIDATION_BATCHES: u32 = 4;

/// The vocabulary size that covers these token ids.
pub(super) fn needed<'a>(ids: impl IntoIterator<Item = &'a u32>) -> u32 {
    ids.into_iter().max().map_or(0, |&most| most.saturating_add(1))
}

/// The random number generator of the batch with that number.
pub(super) fn numbered(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}
