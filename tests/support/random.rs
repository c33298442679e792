//! Seeded random numbers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A random number generator with the same numbers in every run.
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A random integer in `0..below`.
    pub fn below(&mut self, below: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(below)) >> 32) as u32
    }

    /// Uniformly distributed between -√3 and √3: mean 0, variance 1.
    pub fn real(&mut self) -> f32 {
        let unit = (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0;
        ((2.0 * unit - 1.0) * 3f64.sqrt()) as f32
    }

    pub fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.real()).collect()
    }
}
