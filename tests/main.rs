//! One binary, so that everything links once.

mod support;

mod fixtures;
mod ops;
mod program;
