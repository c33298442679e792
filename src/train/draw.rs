//! What all kinds of datasets have in common: how they draw, and how they are told apart.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Batches that a validation looks at, at most.
pub(super) const VALIDATION_BATCHES: u32 = 4;

/// How many tokens a model has to know for these to be among them.
pub(super) fn needed<'a>(ids: impl IntoIterator<Item = &'a u32>) -> u32 {
    ids.into_iter().max().map_or(0, |&most| most.saturating_add(1))
}

/// FNV-1a: short, and the same on every platform.
pub(super) fn hash(values: impl Iterator<Item = u32>) -> u64 {
    let hash = |hash: u64, value: u32| (hash ^ u64::from(value)).wrapping_mul(0x100_0000_01b3);
    values.fold(0xcbf2_9ce4_8422_2325, hash)
}

/// The random numbers of the batch of that number.
pub(super) fn numbered(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}
