//! The model: configuration, parameter table, and files in the layouts of Hugging Face and PEFT.

mod adapter;
mod adapter_config;
pub mod archive;
mod beyond_context;
mod config;
mod config_fields;
mod config_file;
mod config_json;
#[cfg(not(target_arch = "wasm32"))]
mod directory;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod directory_writer;
mod dtype;
mod family;
mod files;
pub(crate) mod fingerprint;
mod json_fields;
mod layers;
#[cfg(not(target_arch = "wasm32"))]
mod location;
#[cfg(not(target_arch = "wasm32"))]
mod merge;
mod names;
mod parameters;
mod presets;
mod quantised;
mod rope;
mod rope_json;
mod spec;
mod special_token_ids;
mod stored;
mod tensors;
pub mod tokenizer;
mod values;
pub(crate) mod weights;

pub use adapter::{StoredAdapter, adapter_files};
pub use beyond_context::BeyondContext;
pub use config::{Activation, Config};
pub(crate) use config_file::CONFIG;
#[cfg(target_arch = "wasm32")]
pub(crate) use config_file::ConfigFile;
#[cfg(not(target_arch = "wasm32"))]
pub use directory::{Directory, Model, is_config, load_config, open_adapter, open_model, save_adapter, save_model};
#[cfg(not(target_arch = "wasm32"))]
pub use directory_writer::{DirectoryWriter, is_model_file, model_files, remove_partial_files};
pub use family::{Bias, Defaults, FAMILIES, Family, ModelType, Windows};
pub use files::{Files, InMemoryFiles};
pub use fingerprint::fingerprint;
pub use layers::Layers;
#[cfg(not(target_arch = "wasm32"))]
pub use merge::merge;
pub use names::TensorNames;
pub use parameters::{Axis, Init, Parameter, ParameterId, Parameters, Role};
pub use presets::{PRESETS, PUBLISHED, Preset};
pub use rope::{Rope, RopeScaling};
pub use spec::{ActivationDtype, BINDING_BYTES, Dtype, Lora, ModelSpec, Projection, Training};
pub(crate) use special_token_ids::GENERATION_CONFIG;
pub use special_token_ids::SpecialTokenIds;
pub use stored::StoredModel;
#[cfg(target_arch = "wasm32")]
pub(crate) use stored::{INDEX, WEIGHTS};
pub(crate) use tensors::read_whole;
#[cfg(target_arch = "wasm32")]
pub(crate) use tensors::shards;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use tokenizer::TOKENIZER_FILES;
pub use values::{RandomInit, WeightSource, WithAdapters};
pub use weights::Weights;
