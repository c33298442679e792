//! StreamBP as one of the contestants: the crate, its kernels and its planner as the page and the command line use them.

mod task;
mod trainer;
#[cfg(target_arch = "wasm32")]
mod web;

pub use task::Task;
pub use trainer::Trainer;
