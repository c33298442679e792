//! One binary, so that everything links once.

mod support;

mod decode;
mod fixtures;
mod memory;
mod ops;
mod program;
mod same_bits;
mod shaders;
mod training;
mod update;
