//! Shared helpers of the tests.

pub mod compare;
pub mod device;
pub mod fixture;
pub mod level;
pub mod model;
pub mod op_harness;
pub mod random;
pub mod ranks;

pub use random::Random;
