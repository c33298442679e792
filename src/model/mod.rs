//! What is trained: its sizes, its parameters by name, and how they get in and out of files.

mod config;
mod parameters;
mod presets;
pub(crate) mod weights;

pub use config::Config;
pub use parameters::{Axis, Init, Parameter, ParameterId, Parameters, Role};
pub use presets::{PRESETS, Preset};
pub use weights::Weights;
