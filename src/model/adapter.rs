//! LoRA adapters in files, in the layout of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::tensors::{Tensors, read_whole};
use super::weights::f32_safetensors;
use super::{Config, Dtype, Files, Lora, ModelSpec, Parameter, Parameters, Projection, WeightSource, Weights};
use crate::error::{Error, Result};

/// Adapters in files, checked against the model that they belong to. Values are read later, row by row.
pub struct StoredAdapter<F> {
    lora: Lora,
    tensors: Tensors<F>,
}

pub(super) const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// A limit that no real `adapter_config.json` reaches.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

impl<F: Files> StoredAdapter<F> {
    /// Reads `adapter_config.json` and the header of the weights, and checks both against the model.
    ///
    /// # Errors
    /// [`Error::Adapter`] if a PEFT feature is not supported; [`Error::Weights`] if a tensor is missing, has the wrong shape or type, or is
    /// not expected. Errors of `files`.
    pub async fn open(files: F, config: &Config) -> Result<Self> {
        let bytes = read_whole(&files, CONFIG, MAX_CONFIG_BYTES).await?;
        let settings: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|e| Error::adapter("the file", format!("is no JSON object: {e}")))?;
        refuse_unsupported(&settings)?;
        let tensors = Tensors::open(files, WEIGHTS, "adapter_model.safetensors.index.json").await?;
        let targets = targets(&tensors)?;
        let lora = lora(&settings, targets)?;
        let parameters = Parameters::new(ModelSpec::lora(config, lora.clone(), Dtype::F32)?);
        for (_, parameter) in parameters.trainable() {
            tensors.check(parameter, WEIGHTS)?;
        }
        let names: HashSet<&str> = parameters.trainable().map(|(_, parameter)| parameter.name.as_str()).collect();
        let unknown = tensors.names().find(|name| !names.contains(name)).map(str::to_owned);
        match unknown {
            Some(name) => Err(tensors.refuse(&name, "belongs to no layer of the model; give the model that the adapters were trained on")),
            None => Ok(StoredAdapter { lora, tensors }),
        }
    }

    /// Rank, alpha and targets.
    pub fn lora(&self) -> &Lora {
        &self.lora
    }
}

impl<F: Files> WeightSource for StoredAdapter<F> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        self.tensors.rows(parameter, rows).await.map(Cow::Owned)
    }
}

/// The files of adapters in the layout of PEFT: names and contents. `base` is `base_model_name_or_path`.
///
/// # Panics
/// If the model has no adapters, or `weights` lacks one of their matrices.
pub fn adapter_files(spec: &ModelSpec, base: &str, weights: &Weights) -> [(&'static str, Vec<u8>); 2] {
    let lora = spec.adapters().expect("a model with adapters");
    let settings = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "use_rslora": lora.use_rslora,
        "use_dora": false,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": lora.targets.iter().map(|target| target.name()).collect::<Vec<_>>(),
    });
    let settings = serde_json::to_string_pretty(&settings).expect("a JSON value can be written");
    let parameters = Parameters::new(spec);
    let tensors = parameters.trainable().map(|(_, parameter)| (parameter.name.clone(), parameter.shape(), weights.get(&parameter.name)));
    [(WEIGHTS, f32_safetensors(tensors, &[("format", "pt")])), (CONFIG, settings.into_bytes())]
}

/// Refuses PEFT features beyond plain LoRA, which would change the computation.
fn refuse_unsupported(settings: &Map<String, Value>) -> Result<()> {
    let kind = settings.get("peft_type").and_then(Value::as_str).unwrap_or("");
    if kind != "LORA" {
        return Err(Error::adapter("peft_type", format!("is {kind:?}, and only \"LORA\" is supported")));
    }
    let is_empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    let fields = [
        "use_dora",
        "use_qalora",
        "fan_in_fan_out",
        "lora_bias",
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
        "layers_to_transform",
        "layer_replication",
        "target_parameters",
        "trainable_token_indices",
    ];
    if let Some(field) = fields.into_iter().find(|&field| settings.get(field).is_some_and(|value| !is_empty(value))) {
        return Err(Error::adapter(field, "is set, and is not supported; only plain LoRA of the projections is"));
    }
    match settings.get("bias").and_then(Value::as_str) {
        None | Some("none") => Ok(()),
        Some(bias) => Err(Error::adapter("bias", format!("is {bias:?}, and only \"none\" is supported"))),
    }
}

fn lora(settings: &Map<String, Value>, targets: Vec<Projection>) -> Result<Lora> {
    let number = |field: &str| match settings.get(field) {
        None => Err(Error::adapter(field, "is missing")),
        Some(value) => value.as_f64().ok_or_else(|| Error::adapter(field, format!("is {value}, and must be a number"))),
    };
    let rank = number("r")?;
    if !(1.0..=f64::from(u32::MAX)).contains(&rank) || rank.fract() != 0.0 {
        return Err(Error::adapter("r", format!("is {rank}, and must be a whole number from 1 on")));
    }
    let use_rslora = settings.get("use_rslora").and_then(Value::as_bool).unwrap_or(false);
    Ok(Lora { rank: rank as u32, alpha: number("lora_alpha")?, use_rslora, targets })
}

/// The projections that have adapters, by the names of the tensors. `target_modules` may be a pattern.
fn targets<F: Files>(tensors: &Tensors<F>) -> Result<Vec<Projection>> {
    let mut targets = BTreeSet::new();
    for name in tensors.names() {
        let mut words = name.rsplit('.').skip_while(|word| *word == "weight");
        let is_adapter = matches!(words.next(), Some("lora_A" | "lora_B"));
        let Some(projection) = words.next().and_then(Projection::named).filter(|_| is_adapter) else {
            return Err(tensors.refuse(name, "is no adapter of a projection inside a layer; only those are supported"));
        };
        targets.insert(projection);
    }
    Ok(targets.into_iter().collect())
}
