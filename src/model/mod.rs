//! What is trained: its sizes, its parameters by name, and how they get in and out of files.

pub mod archive;
mod config;
mod config_json;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod directory;
mod family;
mod layout;
mod parameters;
mod precision;
mod presets;
mod rope;
pub mod tokenizer;
pub(crate) mod weights;

pub use config::{Activation, Config};
#[cfg(not(target_arch = "wasm32"))]
pub use directory::{load_config, load_model, save_model};
pub use family::{Bias, FAMILIES, Family, ModelType, Windows};
pub use layout::{BINDING_BYTES, Layout, Lora, Precision, Projection, Training};
pub use parameters::{Axis, Init, Parameter, ParameterId, Parameters, Role};
pub use presets::{PRESETS, PUBLISHED, Preset};
pub use rope::{Rope, RopeScaling};
pub use weights::Weights;
