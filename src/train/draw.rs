//! Shared by all kinds of datasets: random numbers and hashes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The most batches of a validation.
pub(super) const VALIDATION_BATCHES: u32 = 4;

/// The vocabulary size that covers these token ids.
pub(super) fn needed<'a>(ids: impl IntoIterator<Item = &'a u32>) -> u32 {
    ids.into_iter().max().map_or(0, |&most| most.saturating_add(1))
}

/// FNV-1a, which is short and the same on every platform.
pub(super) fn hash(values: impl Iterator<Item = u32>) -> u64 {
    let hash = |hash: u64, value: u32| (hash ^ u64::from(value)).wrapping_mul(0x100_0000_01b3);
    values.fold(0xcbf2_9ce4_8422_2325, hash)
}

/// The random number generator of the batch with that number.
pub(super) fn numbered(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}
