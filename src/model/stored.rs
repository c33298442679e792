//! A model in files, in the layout of Hugging Face: `config.json`, and `model.safetensors` or several shards with an index.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use safetensors::Dtype;

use super::tensors::{Tensors, read_whole};
use super::{Config, Files, Parameter, Parameters, WeightSource};
use crate::error::{Error, Result};

/// A model in files. Its configuration and the shapes of its tensors are checked. Values are read later, row by row.
pub struct StoredModel<F> {
    config: Config,
    config_json: String,
    tensors: Tensors<F>,
}

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// A limit that no real `config.json` reaches.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

impl<F: Files> StoredModel<F> {
    /// Reads `config.json` and the headers of the weights, and checks them against each other.
    ///
    /// # Errors
    /// [`Error::Config`] if the model is not supported; [`Error::Weights`] with the file and the tensor that is missing, has the wrong
    /// shape or type, or is not expected. Errors of `files`.
    pub async fn open(files: F) -> Result<Self> {
        let config_json = read_config_json(&files).await?;
        let config = Config::from_json(&config_json)?;
        let tensors = Tensors::open(files, WEIGHTS, INDEX).await?;
        let parameters = Parameters::new(&config);
        for (_, parameter) in parameters.iter() {
            tensors.check(parameter, WEIGHTS)?;
        }
        let names: HashSet<&str> = parameters.iter().map(|(_, parameter)| parameter.name.as_str()).collect();
        let is_known = |name: &str| {
            // Older files contain tensors that follow from config.json.
            name == "lm_head.weight" && config.tie_word_embeddings || name.ends_with(".rotary_emb.inv_freq") || names.contains(name)
        };
        let unknown = tensors.names().find(|name| !is_known(name)).map(str::to_owned);
        match unknown {
            Some(name) => Err(tensors.refuse(&name, "is none that the model in config.json has")),
            None => Ok(StoredModel { config, config_json, tensors }),
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The text of its `config.json`.
    pub fn config_json(&self) -> &str {
        &self.config_json
    }

    /// Its files.
    pub fn files(&self) -> &F {
        self.tensors.files()
    }

    /// The dtype in which a parameter is stored.
    pub fn dtype(&self, parameter: &Parameter) -> Dtype {
        self.tensors.dtype(&parameter.name).expect("every parameter was found")
    }
}

impl<F: Files> WeightSource for StoredModel<F> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        self.tensors.rows(parameter, rows).await.map(Cow::Owned)
    }
}

/// The text of a model's `config.json`.
///
/// # Errors
/// [`Error::Weights`] if it is missing or too large, [`Error::Config`] if it is not UTF-8. Errors of `files`.
pub async fn read_config_json<F: Files>(files: &F) -> Result<String> {
    let bytes = read_whole(files, CONFIG, MAX_CONFIG_BYTES).await?;
    String::from_utf8(bytes).map_err(|_| Error::config("the file", "is not UTF-8 text"))
}
