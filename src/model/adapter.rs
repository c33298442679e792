//! LoRA adapters in files, in the layout of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::adapter_config::{AdapterConfig, CONFIG, to_json};
use super::tensors::{Tensors, read_whole};
use super::{Config, Dtype, Files, Lora, ModelSpec, Parameter, Parameters, Projection, TensorNames, WeightSource, Weights};
use crate::error::Result;

/// Adapters in files, checked against the model that they belong to. Values are read later, row by row.
pub struct StoredAdapter<F> {
    settings: AdapterConfig,
    lora: Lora,
    tensors: Tensors<F>,
}

const WEIGHTS: &str = "adapter_model.safetensors";
/// A limit that no real `adapter_config.json` reaches.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

impl<F: Files> StoredAdapter<F> {
    /// Reads `adapter_config.json` and the header of the weights, and checks both against the model.
    ///
    /// # Errors
    /// [`Error::Adapter`](crate::error::Error::Adapter) if a PEFT feature is not supported;
    /// [`Error::Weights`](crate::error::Error::Weights) if a tensor is missing, has the wrong shape or type, or is not expected. Errors of
    /// `files`.
    pub async fn open(files: F, config: &Config) -> Result<Self> {
        let settings = AdapterConfig::parse(&read_whole(&files, CONFIG, MAX_CONFIG_BYTES).await?)?;
        let tensors = Tensors::open(files, WEIGHTS, "adapter_model.safetensors.index.json").await?;
        let lora = settings.lora(targets(&tensors)?, tensors.iter().filter_map(|(name, _)| layer_of(name)).collect());
        let names = TensorNames::of_adapters(tensors.iter().map(|(name, _)| name));
        let tensors = tensors.with_names(names);
        let parameters = Parameters::new(ModelSpec::lora(config, lora.clone(), Dtype::F32)?);
        for (_, parameter) in parameters.trainable() {
            tensors.check(parameter, WEIGHTS)?;
        }
        let names: HashSet<String> = parameters.trainable().map(|(_, parameter)| tensors.names().of(parameter)).collect();
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.contains(*name)) {
            return Err(tensors.refuse(name, "belongs to no layer of the model; give the model that the adapters were trained on"));
        }
        Ok(StoredAdapter { settings, lora, tensors })
    }

    /// Where the files are read from.
    pub fn files(&self) -> &F {
        self.tensors.files()
    }

    /// Rank, alpha and targets.
    pub fn lora(&self) -> &Lora {
        &self.lora
    }

    /// The name or the path of the model that they were trained on, if it is recorded.
    pub fn base(&self) -> Option<&str> {
        self.settings.base.as_deref()
    }

    /// The dropout of their training. It is not applied here.
    pub fn dropout(&self) -> f64 {
        self.settings.dropout
    }

    /// The names of their tensors.
    pub fn names(&self) -> &TensorNames {
        self.tensors.names()
    }
}

impl<F: Files> WeightSource for StoredAdapter<F> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        self.tensors.rows(parameter, rows).await.map(Cow::Owned)
    }
}

/// The files of adapters in the layout of PEFT: names and contents. `base` is `base_model_name_or_path`; the tensors are called by `names`.
///
/// # Panics
/// If the model has no adapters, or `weights` lacks one of their matrices.
pub fn adapter_files(spec: &ModelSpec, base: &str, names: &TensorNames, weights: &Weights) -> [(&'static str, Vec<u8>); 2] {
    let lora = spec.adapters().expect("a model with adapters");
    let parameters = Parameters::new(spec);
    let tensors = weights.to_safetensors(parameters.trainable().map(|(_, parameter)| parameter), names);
    [(WEIGHTS, tensors), (CONFIG, to_json(lora, base).into_bytes())]
}

/// The projections that have adapters, by the names of the tensors. `target_modules` may be a pattern.
fn targets<F: Files>(tensors: &Tensors<F>) -> Result<Vec<Projection>> {
    let mut targets = BTreeSet::new();
    for (name, _) in tensors.iter() {
        match projection_of(name) {
            Some(projection) => targets.insert(projection),
            None => return Err(tensors.refuse(name, "is no adapter of a projection inside a layer; only those are supported")),
        };
    }
    Ok(targets.into_iter().collect())
}

/// The layer to which a tensor of an adapter belongs.
fn layer_of(name: &str) -> Option<u32> {
    let (_, behind) = name.split_once("layers.")?;
    behind.split('.').next()?.parse().ok()
}

/// The projection to which a tensor of an adapter belongs. Behind `lora_A` or `lora_B` there may be the adapter's name.
fn projection_of(name: &str) -> Option<Projection> {
    let words: Vec<&str> = name.split('.').collect();
    let matrix = words.iter().rposition(|word| matches!(*word, "lora_A" | "lora_B"))?;
    Projection::named(words[matrix.checked_sub(1)?])
}
