//! What is trained: its sizes, its parameters by name, and how they get in and out of files.

pub mod archive;
mod config;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod directory;
mod parameters;
mod presets;
pub mod tokenizer;
pub(crate) mod weights;

pub use config::Config;
#[cfg(not(target_arch = "wasm32"))]
pub use directory::{load_config, load_model, save_model};
pub use parameters::{Axis, Init, Parameter, ParameterId, Parameters, Role};
pub use presets::{PRESETS, PUBLISHED, Preset};
pub use weights::Weights;
