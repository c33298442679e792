//! A model in files, in the layout of Hugging Face: `config.json`, and `model.safetensors` or several shards with an index.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use safetensors::Dtype;

use super::config_file::ConfigFile;
use super::quantised::quantised;
use super::tensors::Tensors;
use super::{Config, Files, Parameter, Parameters, Role, TensorNames, WeightSource};
use crate::error::Result;

/// A model in files. Its configuration and the shapes of its tensors are checked. Values are read later, row by row.
pub struct StoredModel<F> {
    config: Config,
    file: ConfigFile,
    tensors: Tensors<F>,
}

pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Bytes of a matrix that are compared at once.
const COMPARED_BYTES: u32 = 4 << 20;
/// Ends of the names of buffers that older files contain, and that follow from `config.json`.
const DERIVED: [&str; 4] = [".rotary_emb.inv_freq", ".rotary_emb_local.inv_freq", ".masked_bias", ".rotary_emb.original_inv_freq"];
/// Ends of the names of causal masks in older files.
const MASKS: [&str; 3] = ["attn.bias", ".causal_mask", ".attn_mask"];
/// Parts of a multimodal model that its text model does not have.
const OTHER_PARTS: [&str; 2] = ["vision_tower.", "multi_modal_projector."];

impl<F: Files> StoredModel<F> {
    /// Reads `config.json` and the headers of the weights, and checks them against each other. If the file of a tied model has an LM head
    /// that differs from the embedding, the model is untied.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if the model is not supported; [`Error::Weights`](crate::error::Error::Weights) with the
    /// file and the tensor that is missing, has the wrong shape or type, is quantised, or is not expected. Errors of `files`.
    pub async fn open(files: F) -> Result<Self> {
        let file = ConfigFile::read(&files).await?;
        let mut config = Config::from_json(&file.json)?;
        let tensors = Tensors::open(files, WEIGHTS, INDEX).await?;
        if let Some((tensor, method)) = quantised(&file, tensors.iter()) {
            return Err(tensors.refuse(tensor, &format!("is quantised ({method}); take the 16-bit model that it was made from")));
        }
        let names = TensorNames::of_model(tensors.iter().map(|(name, _)| name));
        let tensors = tensors.with_names(names);
        let untied = Config { tie_word_embeddings: false, ..config.clone() };
        if config.tie_word_embeddings && has_head_of_its_own(&tensors, &untied).await? {
            config = untied;
        }
        let model = StoredModel { config, file, tensors };
        model.check()?;
        Ok(model)
    }

    /// Checks that the tensors are those of the model.
    fn check(&self) -> Result<()> {
        let parameters = Parameters::new(&self.config);
        for (_, parameter) in parameters.iter() {
            self.tensors.check(parameter, WEIGHTS)?;
        }
        let mut names: HashSet<String> = parameters.iter().map(|(_, parameter)| self.tensors.names().of(parameter)).collect();
        if self.config.tie_word_embeddings {
            // It has been compared with the embedding.
            names.insert(self.tensors.names().lm_head().to_owned());
        }
        let is_known =
            |name: &str, dtype| names.contains(name) || is_derived(name, dtype) || self.file.is_multimodal && is_other_part(name);
        match self.tensors.iter().find(|(name, dtype)| !is_known(name, *dtype)) {
            Some((name, _)) => Err(self.tensors.refuse(name, "is none that the model in config.json has")),
            None => Ok(()),
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The text of its `config.json`, of its text model if it is multimodal.
    pub fn config_json(&self) -> &str {
        &self.file.json
    }

    /// The names that its tensors have when it is written: those of its files, unless it was multimodal and becomes a text model.
    pub fn names(&self) -> TensorNames {
        if self.file.is_multimodal { TensorNames::default() } else { self.tensors.names().clone() }
    }

    /// The names of new adapters.
    pub fn adapter_names(&self) -> TensorNames {
        if self.file.is_multimodal { TensorNames::of_multimodal_adapters() } else { TensorNames::default() }
    }

    /// Its files.
    pub fn files(&self) -> &F {
        self.tensors.files()
    }

    /// The dtype in which a parameter is stored.
    pub fn dtype(&self, parameter: &Parameter) -> Dtype {
        self.tensors.dtype(parameter).expect("every parameter was found")
    }
}

impl<F: Files> WeightSource for StoredModel<F> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        self.tensors.rows(parameter, rows).await.map(Cow::Owned)
    }
}

/// Does a file of a tied model have an LM head, with other values than the embedding?
async fn has_head_of_its_own<F: Files>(tensors: &Tensors<F>, untied: &Config) -> Result<bool> {
    let parameters = Parameters::new(untied);
    let [head, embedding] = [Role::LmHead, Role::Embedding].map(|role| parameters.get(parameters.find(role, None)));
    if tensors.dtype(head).is_none() {
        return Ok(false);
    }
    for parameter in [head, embedding] {
        tensors.check(parameter, WEIGHTS)?;
    }
    let rows_at_once = (COMPARED_BYTES / 4 / embedding.cols.size()).max(1);
    for first in (0..embedding.file_rows()).step_by(rows_at_once as usize) {
        let rows = first..embedding.file_rows().min(first + rows_at_once);
        if tensors.rows(head, rows.clone()).await? != tensors.rows(embedding, rows).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Is that a buffer that follows from `config.json`?
fn is_derived(name: &str, dtype: Dtype) -> bool {
    let is_mask = matches!(dtype, Dtype::BOOL | Dtype::U8) && MASKS.iter().any(|end| name.ends_with(end));
    is_mask || DERIVED.iter().any(|end| name.ends_with(end))
}

fn is_other_part(name: &str) -> bool {
    OTHER_PARTS.iter().any(|part| name.strip_prefix("model.").unwrap_or(name).starts_with(part))
}
