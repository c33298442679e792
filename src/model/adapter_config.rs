//! Reads and writes `adapter_config.json`, in which PEFT keeps the settings of adapters.

use serde_json::{Map, Value, json};

use super::{Layers, Lora, Projection, json_fields};
use crate::error::{Error, Result};

/// The settings of LoRA adapters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AdapterConfig {
    rank: u32,
    alpha: f64,
    use_rslora: bool,
    /// The name or the path of the model that they were trained on.
    pub base: Option<String>,
    /// The dropout that PEFT would train them with.
    pub dropout: f64,
    /// The layers that have adapters.
    pub layers: AdaptedLayers,
}

/// Which layers have adapters.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AdaptedLayers {
    /// All.
    All,
    /// Those of `layers_to_transform`.
    Listed(Layers),
    /// Those that the pattern `target_modules` matches: the tensors tell.
    Matched,
}

pub(super) const CONFIG: &str = "adapter_config.json";
/// Fields with any value. They tell where the adapters come from, and how they were initialised and trained. Every other field that is not
/// read here must be empty.
const FREE: [&str; 15] = [
    "auto_mapping",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
    // Compresses activations during training.
    "velora_config",
];
/// Fields that are read.
const READ: [&str; 11] = [
    "base_model_name_or_path",
    "bias",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "peft_type",
    "r",
    // Which projections have adapters, the tensors tell.
    "target_modules",
    "use_rslora",
];
/// Initialisations that leave the base model as it is.
const INITIALISATIONS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

impl AdapterConfig {
    /// Reads the file. PEFT features beyond plain LoRA would change the computation, and are refused.
    ///
    /// # Errors
    /// [`Error::Adapter`] with the field.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let settings: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| Error::adapter("the file", format!("is no JSON object: {e}")))?;
        let kind = settings.get("peft_type").and_then(Value::as_str).unwrap_or("");
        if kind != "LORA" {
            return Err(Error::adapter("peft_type", format!("is {kind:?}, and only \"LORA\" is supported")));
        }
        let is_refused = |field: &str, value: &Value| !READ.contains(&field) && !FREE.contains(&field) && !is_empty(value);
        if let Some((field, _)) = settings.iter().find(|(field, value)| is_refused(field, value)) {
            return Err(Error::adapter(field, "is set, and is not supported; only plain LoRA of the projections is"));
        }
        check_initialisation(settings.get("init_lora_weights").unwrap_or(&Value::Null))?;
        match settings.get("bias") {
            None | Some(Value::Null) => {}
            Some(bias) if bias == "none" => {}
            Some(bias) => return Err(Error::adapter("bias", format!("is {bias}, and only \"none\" is supported"))),
        }
        let rank = number(&settings, "r")?.ok_or_else(|| Error::adapter("r", "is missing"))?;
        if !(1.0..=f64::from(u32::MAX)).contains(&rank) || rank.fract() != 0.0 {
            return Err(Error::adapter("r", format!("is {rank}, and must be a whole number from 1 on")));
        }
        let use_rslora = match settings.get("use_rslora") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => return Err(Error::adapter("use_rslora", format!("is {other}, and must be true or false"))),
        };
        Ok(AdapterConfig {
            rank: rank as u32,
            alpha: number(&settings, "lora_alpha")?.ok_or_else(|| Error::adapter("lora_alpha", "is missing"))?,
            use_rslora,
            base: settings.get("base_model_name_or_path").and_then(Value::as_str).filter(|base| !base.is_empty()).map(str::to_owned),
            dropout: number(&settings, "lora_dropout")?.unwrap_or(0.0),
            layers: adapted_layers(&settings)?,
        })
    }

    /// The adapters of these projections, of which the tensors belong to the layers `found`.
    pub fn lora(&self, targets: Vec<Projection>, found: Layers) -> Lora {
        let layers = match &self.layers {
            AdaptedLayers::All => None,
            AdaptedLayers::Listed(layers) => Some(layers.clone()),
            AdaptedLayers::Matched => Some(found),
        };
        Lora { rank: self.rank, alpha: self.alpha, use_rslora: self.use_rslora, targets, layers }
    }
}

/// The `adapter_config.json` of adapters. `base` is `base_model_name_or_path`.
pub(super) fn to_json(lora: &Lora, base: &str) -> String {
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
        "layers_to_transform": lora.layers.as_ref().map(|layers| layers.iter().collect::<Vec<u32>>()),
        "layers_pattern": null,
        "target_modules": lora.targets.iter().map(|target| target.name()).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&settings).expect("a JSON value can be written")
}

/// Refuses initialisations that changed the base model, so that the adapters do not fit the base model in its files.
fn check_initialisation(value: &Value) -> Result<()> {
    let name = match value {
        Value::Null | Value::Bool(_) => return Ok(()),
        Value::String(name) => name.to_ascii_lowercase(),
        _ => String::new(),
    };
    let conversion = match name.split("_niter_").next().unwrap_or("") {
        "pissa" | "olora" | "corda" | "lora_ga" => {
            "convert them to plain LoRA in PEFT, with save_pretrained(…, path_initial_model_for_weight_conversion=…)"
        }
        "loftq" => "merge them in PEFT with merge_and_unload(), and take that model",
        _ if INITIALISATIONS.contains(&name.as_str()) => return Ok(()),
        _ => {
            let known = INITIALISATIONS.join(", ");
            return Err(Error::adapter("init_lora_weights", format!("is {value}; true, false, {known} are supported")));
        }
    };
    Err(Error::adapter("init_lora_weights", format!("is {value}, which changed the base model too; {conversion}")))
}

/// The layers that have adapters, by `layers_to_transform`, `layers_pattern` and the kind of `target_modules`.
fn adapted_layers(settings: &Map<String, Value>) -> Result<AdaptedLayers> {
    let field = |name: &str| settings.get(name).filter(|value| !is_empty(value));
    let is_layers = |pattern: &Value| pattern == "layers";
    match field("layers_pattern") {
        None => {}
        Some(pattern) if is_layers(pattern) || pattern.as_array().is_some_and(|all| all.iter().any(is_layers)) => {}
        Some(pattern) => return Err(Error::adapter("layers_pattern", format!("is {pattern}, and the layers of the model are \"layers\""))),
    }
    let Some(listed) = field("layers_to_transform") else {
        let is_pattern = settings.get("target_modules").is_some_and(Value::is_string);
        return Ok(if is_pattern { AdaptedLayers::Matched } else { AdaptedLayers::All });
    };
    let number = |value: &Value| value.as_u64().and_then(|layer| u32::try_from(layer).ok());
    let layers = match listed {
        Value::Array(all) => all.iter().map(number).collect(),
        one => number(one).map(|layer| Layers::from_iter([layer])),
    };
    let wrong = || Error::adapter("layers_to_transform", format!("is {listed}, and must be the number of a layer or a list of them"));
    layers.map(AdaptedLayers::Listed).ok_or_else(wrong)
}

/// Has a field a value that asks for nothing? A number always asks for something: 0 is a layer.
fn is_empty(value: &Value) -> bool {
    !value.is_number() && json_fields::is_empty(value)
}

fn number(settings: &Map<String, Value>, field: &str) -> Result<Option<f64>> {
    match settings.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| Error::adapter(field, format!("is {value}, and must be a number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PEFT 0.21.2 writes.
    const OF_PEFT: &str = r#"{
        "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": {"base_model_class": "LlamaForCausalLM"},
        "base_model_name_or_path": "somebody/base", "bias": "none", "corda_config": null, "ensure_weight_tying": false, "eva_config": null,
        "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true, "kasa_config": null,
        "layer_replication": null, "layers_pattern": null, "layers_to_transform": null, "loftq_config": {}, "lora_alpha": 8,
        "lora_bias": false, "lora_dropout": 0.05, "lora_ga_config": null, "megatron_config": null, "megatron_core": "megatron.core",
        "modules_to_save": null, "monteclora_config": null, "peft_type": "LORA", "peft_version": "0.21.2", "qalora_group_size": 16, "r": 4,
        "rank_pattern": {}, "revision": null, "target_modules": ["q_proj", "v_proj"], "target_parameters": null, "task_type": null,
        "trainable_token_indices": null, "use_bdlora": null, "use_dora": false, "use_qalora": false, "use_rslora": false,
        "velora_config": null
    }"#;

    fn with(field: &str, value: Value) -> Result<AdapterConfig> {
        let mut settings: Value = serde_json::from_str(OF_PEFT).unwrap();
        settings[field] = value;
        AdapterConfig::parse(settings.to_string().as_bytes())
    }

    #[test]
    fn what_peft_writes_is_read() {
        let expected = AdapterConfig {
            rank: 4,
            alpha: 8.0,
            use_rslora: false,
            base: Some("somebody/base".to_owned()),
            dropout: 0.05,
            layers: AdaptedLayers::All,
        };
        assert_eq!(AdapterConfig::parse(OF_PEFT.as_bytes()).unwrap(), expected);
        let written = to_json(&expected.lora(vec![Projection::Query], Layers::default()), "somebody/base");
        assert_eq!(AdapterConfig::parse(written.as_bytes()).unwrap(), AdapterConfig { dropout: 0.0, ..expected });
    }

    #[test]
    fn layers_are_listed_or_told_by_the_tensors() {
        let found: Layers = [2].into_iter().collect();
        let layers = |field, value| with(field, value).unwrap().lora(vec![Projection::Query], found.clone()).layers.map(|l| l.to_string());
        assert_eq!(layers("layers_to_transform", json!([3, 1, 3])).as_deref(), Some("1,3"));
        assert_eq!(layers("layers_to_transform", json!(1)).as_deref(), Some("1"));
        // Zero is a layer, an empty list is none.
        assert_eq!(layers("layers_to_transform", json!(0)).as_deref(), Some("0"));
        assert_eq!(layers("layers_to_transform", json!([])), None);
        assert_eq!(layers("layers_pattern", json!(["layers", "h"])), None);
        assert_eq!(layers("target_modules", json!(r".*\.2\..*q_proj")).as_deref(), Some("2"));
    }

    #[test]
    fn initialisations_that_change_the_base_model_are_refused_with_the_way_out() {
        for name in ["pissa", "pissa_niter_4", "olora", "OLoRA", "corda", "lora_ga"] {
            let said = with("init_lora_weights", json!(name)).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains("path_initial_model_for_weight_conversion"), "{said}");
        }
        assert!(with("init_lora_weights", json!("loftq")).unwrap_err().to_string().contains("merge_and_unload"));
        assert!(with("init_lora_weights", json!("new")).unwrap_err().to_string().contains("is \"new\""));
        assert!(with("init_lora_weights", json!(3)).unwrap_err().to_string().contains("is 3"));
        for value in [json!(false), json!(null), json!("gaussian"), json!("eva"), json!("orthogonal"), json!("mica")] {
            assert!(with("init_lora_weights", value.clone()).is_ok(), "{value}");
        }
    }

    #[test]
    fn what_is_unknown_or_beyond_plain_lora_is_refused_by_name() {
        for (field, value) in [
            ("alora_invocation_tokens", json!([1, 2, 3])),
            ("alpha_pattern", json!({ "q_proj": 2 })),
            ("arrow_config", json!({ "top_k": 3 })),
            ("fan_in_fan_out", json!(true)),
            ("kasa_config", json!({ "beta": 1e-4 })),
            ("layer_replication", json!([[0, 1]])),
            ("layers_to_transform", json!("1")),
            ("layers_to_transform", json!([0, -1])),
            ("layers_pattern", json!("h")),
            ("lora_bias", json!(true)),
            ("megatron_config", json!({ "a": 1 })),
            ("modules_to_save", json!(["lm_head"])),
            ("monteclora_config", json!({ "a": 1 })),
            ("rank_pattern", json!({ "q_proj": 2 })),
            ("target_parameters", json!(["experts"])),
            ("trainable_token_indices", json!([1])),
            ("use_bdlora", json!({ "nblocks": 2 })),
            ("use_dora", json!(true)),
            ("use_qalora", json!(true)),
            ("a_field_of_the_future", json!("on")),
            ("bias", json!("all")),
            ("use_rslora", json!("yes")),
            ("lora_dropout", json!("much")),
        ] {
            let said = with(field, value).unwrap_err().to_string();
            assert!(said.starts_with(&format!("adapter_config.json: {field} is ")), "{said}");
        }
        for value in [json!(null), json!(false), json!([]), json!({}), json!("")] {
            assert!(with("a_field_of_the_future", value.clone()).is_ok(), "{value}");
        }
    }
}
