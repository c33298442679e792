//! What several tests need.

pub mod compare;
pub mod fixture;
pub mod model;
pub mod random;

pub use random::Random;
