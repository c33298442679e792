//! Shared by all kinds of datasets: random numbers, and what they decide.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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

/// Shuffles uniformly (Fisher-Yates).
pub(super) fn shuffle(order: &mut [usize], rng: &mut ChaCha8Rng) {
    for i in (1..order.len()).rev() {
        order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
}

/// The numbers below `count`: those to train on, then a tenth (at least one) that is held out, each ascending. And how many come first.
pub(super) fn with_held_out(count: usize) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, &mut ChaCha8Rng::seed_from_u64(u64::MAX));
    let held_out = (count / 10).max(1);
    order.rotate_left(held_out);
    let training = count - held_out;
    order[..training].sort_unstable();
    order[training..].sort_unstable();
    (order, training)
}

/// The numbers below `training` in an order that is drawn anew for each epoch: `count` of them, from the one in place `first` on.
pub(super) fn in_epochs(training: usize, seed: u64, first: u64, count: u32) -> Vec<usize> {
    let mut order: (u64, Vec<usize>) = (u64::MAX, Vec::new());
    let place = |at: u64| {
        let epoch = at / training as u64;
        if order.0 != epoch {
            order = (epoch, (0..training).collect());
            shuffle(&mut order.1, &mut numbered(seed, epoch));
        }
        order.1[(at % training as u64) as usize]
    };
    (first..first + u64::from(count)).map(place).collect()
}
