//! Reads and writes `config.json`.

use serde_json::{Value, json};

use super::config_fields;
use super::json_fields::{Fields, flag, given, number, real, shortened, size};
use super::rope_json::{self, FULL, SLIDING, whole};
use super::{Activation, Bias, Config, FAMILIES, Family, Windows};
use crate::error::{Error, Result};

impl Config {
    /// Reads a `config.json`. Missing fields have the defaults of `transformers`.
    ///
    /// # Errors
    /// [`Error::Config`] with the field that is malformed, unknown or not supported.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::config("the file", format!("is not JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(Error::config("the file", "must hold one JSON object"));
        };
        let family = family(&map)?;
        config_fields::check(&map)?;
        let defaults = &family.defaults;
        let heads = size(&map, "num_attention_heads", defaults.num_attention_heads)?;
        let hidden_size = size(&map, "hidden_size", defaults.hidden_size)?;
        let vocab_size = size(&map, "vocab_size", defaults.vocab_size)?;
        let num_hidden_layers = size(&map, "num_hidden_layers", defaults.num_hidden_layers)?;
        let max_position_embeddings = size(&map, "max_position_embeddings", defaults.max_position_embeddings)?;
        let (sliding_window, sliding_layers) = windows(&map, family, num_hidden_layers)?;
        let [rope, local_rope] = rope_json::read(&map, family, max_position_embeddings)?;
        let config = Config {
            model_type: family.model_type,
            hidden_size,
            intermediate_size: size(&map, "intermediate_size", defaults.intermediate_size)?,
            num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads(&map, family, heads)?,
            head_dim: head_dim(&map, family, hidden_size, heads)?,
            vocab_size,
            rms_norm_eps: real(&map, "rms_norm_eps", 1e-6)?,
            hidden_act: activation(&map, family)?,
            rope,
            local_rope,
            sliding_window,
            sliding_layers,
            query_pre_attn_scalar: query_pre_attn_scalar(&map, family)?,
            final_logit_softcapping: if family.caps_scores { number(&map, "final_logit_softcapping")? } else { None },
            qkv_bias: bias(&map, family.qkv_bias)?,
            output_bias: bias(&map, family.output_bias)?,
            mlp_bias: bias(&map, family.mlp_bias)?,
            tie_word_embeddings: flag(&map, "tie_word_embeddings", defaults.tie_word_embeddings)?,
            max_position_embeddings,
            pad_token_id: pad_token_id(&map, family, vocab_size)?,
        };
        config.validate()?;
        Ok(config)
    }

    /// The `config.json` for Hugging Face's `transformers`.
    pub fn to_json(&self) -> String {
        let family = self.family();
        let mut map = json!({
            "architectures": [family.architecture],
            "model_type": family.name,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "rms_norm_eps": self.rms_norm_eps,
            "tie_word_embeddings": self.tie_word_embeddings,
            "max_position_embeddings": self.max_position_embeddings,
            "pad_token_id": self.pad_token_id,
            "torch_dtype": "float32",
        });
        map[family.activation_field] = json!(self.hidden_act.name());
        for (bias, has) in [(family.qkv_bias, self.qkv_bias), (family.output_bias, self.output_bias), (family.mlp_bias, self.mlp_bias)] {
            if let Bias::Field(field) = bias {
                map[field] = json!(has);
            }
        }
        rope_json::write(self, &mut map);
        if family.caps_scores {
            map["query_pre_attn_scalar"] = whole(self.attention_scalar());
            map["final_logit_softcapping"] = json!(self.final_logit_softcapping);
        }
        self.add_windows(&mut map);
        serde_json::to_string_pretty(&map).expect("a JSON value can be written")
    }

    fn add_windows(&self, map: &mut Value) {
        let layers = 0..self.num_hidden_layers;
        let slides = self.sliding_layers.contains(&true);
        let windows = self.family().windows;
        if windows != Windows::Never {
            map["sliding_window"] = if slides { json!(self.sliding_window) } else { Value::Null };
        }
        if windows == Windows::Upper {
            map["use_sliding_window"] = json!(slides);
        }
        let follows_the_rule = windows == Windows::All && layers.clone().all(|layer| self.window(layer).is_some() == slides);
        if windows != Windows::Never && !follows_the_rule {
            let name = |layer| if self.window(layer).is_some() { SLIDING } else { FULL };
            map["layer_types"] = layers.map(name).collect();
        }
    }
}

impl Activation {
    /// The name in `config.json`.
    fn name(self) -> &'static str {
        match self {
            Activation::Silu => "silu",
            Activation::GeluTanh => "gelu_pytorch_tanh",
        }
    }
}

fn family(map: &Fields) -> Result<&'static Family> {
    let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    let supported = names.join(", ");
    let Some(name) = map.get("model_type") else {
        return Err(Error::config("model_type", format!("is missing; supported are {supported}")));
    };
    let found = FAMILIES.iter().find(|family| name == family.name);
    found.ok_or_else(|| Error::config("model_type", format!("is {}; supported are {supported}", shortened(name))))
}

fn activation(map: &Fields, family: &Family) -> Result<Activation> {
    let field = family.activation_field;
    let name = given(map, field).cloned().unwrap_or_else(|| json!(family.activation));
    match name.as_str() {
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        _ => Err(Error::config(field, format!("is {}; silu and gelu_pytorch_tanh are supported", shortened(&name)))),
    }
}

fn bias(map: &Fields, bias: Bias) -> Result<bool> {
    match bias {
        Bias::Always => Ok(true),
        Bias::Field(field) => flag(map, field, false),
        Bias::Never => Ok(false),
    }
}

/// A `num_key_value_heads` of null is num_attention_heads, and a missing one the family's default.
fn key_value_heads(map: &Fields, family: &Family, heads: u32) -> Result<u32> {
    let default = if map.contains_key("num_key_value_heads") { None } else { family.defaults.num_key_value_heads };
    size(map, "num_key_value_heads", default.unwrap_or(heads))
}

fn head_dim(map: &Fields, family: &Family, hidden_size: u32, heads: u32) -> Result<u32> {
    match (size(map, "head_dim", 0)?, family.defaults.head_dim) {
        (0, Some(usual)) => Ok(usual),
        (0, None) if heads > 0 && hidden_size.is_multiple_of(heads) => Ok(hidden_size / heads),
        (0, None) => Err(Error::config(
            "head_dim",
            format!("is missing, and hidden_size {hidden_size} is no multiple of num_attention_heads {heads}"),
        )),
        (given, _) => Ok(given),
    }
}

/// 0 in families that divide scores by √head_dim.
fn query_pre_attn_scalar(map: &Fields, family: &Family) -> Result<f64> {
    if !family.caps_scores {
        return Ok(0.0);
    }
    match real(map, "query_pre_attn_scalar", family.defaults.query_pre_attn_scalar)? {
        0.0 => Err(Error::config("query_pre_attn_scalar", "is 0, and must be positive")),
        scalar => Ok(scalar),
    }
}

/// PyTorch's `padding_idx`: a negative one counts from the end of the vocabulary. One outside the vocabulary, which PyTorch refuses, stands
/// for none.
fn pad_token_id(map: &Fields, family: &Family, vocab_size: u32) -> Result<Option<u32>> {
    let Some(value) = map.get("pad_token_id") else { return Ok(family.defaults.pad_token_id.filter(|&id| id < vocab_size)) };
    if value.is_null() {
        return Ok(None);
    }
    let id = value.as_i64().ok_or_else(|| Error::config("pad_token_id", format!("is {}, and must be a token id", shortened(value))))?;
    let id = if id < 0 { id + i64::from(vocab_size) } else { id };
    Ok(u32::try_from(id).ok().filter(|&id| id < vocab_size))
}

/// The sliding window in tokens, and which layers have it.
fn windows(map: &Fields, family: &Family, layers: u32) -> Result<(u32, Vec<bool>)> {
    for (field, causal) in [("is_causal", true), ("use_bidirectional_attention", false)] {
        // As in transformers, null is false.
        if let Some(value) = map.get(field).filter(|value| **value != causal && (causal || !value.is_null())) {
            return Err(Error::config(field, format!("is {}, and only causal attention is supported", shortened(value))));
        }
    }
    let listed = listed_windows(map, layers)?;
    // Null is no window, and a missing field the default.
    let default = if map.contains_key("sliding_window") { None } else { Some(family.defaults.sliding_window) };
    let window = if given(map, "sliding_window").is_some() { Some(size(map, "sliding_window", 0)?) } else { default };
    let has_window = window.is_some();
    let slides = match (family.windows, listed) {
        (Windows::Never, Some(listed)) if listed.contains(&true) => {
            return Err(Error::config("layer_types", format!("has {SLIDING}, and models of the family {} have no windows", family.name)));
        }
        (Windows::Never, _) => Vec::new(),
        (Windows::Upper, listed) => upper_windows(map, layers, listed, has_window)?,
        (_, Some(listed)) => listed,
        (Windows::All, None) => each(layers, |_| has_window),
        (Windows::Pattern, None) => {
            let every = size(map, "sliding_window_pattern", 6)?.max(1);
            each(layers, |layer| !(layer + 1).is_multiple_of(every))
        }
    };
    Ok(if slides.contains(&true) { (window.unwrap_or(0), slides) } else { (0, Vec::new()) })
}

/// Which layers have a window by `layer_types`, if they are there.
fn listed_windows(map: &Fields, layers: u32) -> Result<Option<Vec<bool>>> {
    let types = match given(map, "layer_types") {
        None => return Ok(None),
        Some(Value::Array(types)) => types,
        Some(other) => return Err(Error::config("layer_types", format!("is {}, and must be a list", shortened(other)))),
    };
    if types.len() != layers as usize {
        return Err(Error::config("layer_types", format!("lists {} layers, and num_hidden_layers is {layers}", types.len())));
    }
    types.iter().map(slides).collect::<Result<_>>().map(Some)
}

/// Windows of families that switch them on by `use_sliding_window`.
fn upper_windows(map: &Fields, layers: u32, listed: Option<Vec<bool>>, has_window: bool) -> Result<Vec<bool>> {
    let is_used = flag(map, "use_sliding_window", false)?;
    let Some(listed) = listed else {
        let from = size(map, "max_window_layers", 28)?;
        return Ok(each(layers, |layer| is_used && has_window && layer >= from));
    };
    match listed.contains(&true) && !is_used {
        true => Err(Error::config("use_sliding_window", format!("is not true, and layer_types has {SLIDING}; make them agree"))),
        false => Ok(listed),
    }
}

/// Which layers have the window, by a rule. Limits the number of layers, so that a hostile file cannot exhaust the memory.
fn each(layers: u32, slides: impl Fn(u32) -> bool) -> Vec<bool> {
    (0..layers.min(1 << 12)).map(slides).collect()
}

fn slides(layer_type: &Value) -> Result<bool> {
    match layer_type.as_str() {
        Some(SLIDING) => Ok(true),
        Some(FULL) => Ok(false),
        _ => Err(Error::config("layer_types", format!("has {}; {FULL} and {SLIDING} are supported", shortened(layer_type)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelType, PRESETS, Rope, RopeScaling};

    fn gemma() -> Config {
        Config {
            model_type: ModelType::Gemma3Text,
            hidden_act: Activation::GeluTanh,
            rope: Rope { theta: 1e6, scaling: RopeScaling::Linear { factor: 8.0 } },
            local_rope: Rope::plain(1e4),
            sliding_window: 512,
            sliding_layers: vec![true, true, false, true],
            query_pre_attn_scalar: 64.0,
            final_logit_softcapping: Some(30.0),
            ..PRESETS[0].config.clone()
        }
    }

    #[test]
    fn a_config_written_is_the_config_read() {
        let llama3 =
            RopeScaling::Llama3 { factor: 32.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192.0 };
        let tiny = &PRESETS[0].config;
        let scaled = Config {
            rope: Rope { theta: 5e5, scaling: llama3 },
            local_rope: Rope { theta: 5e5, scaling: llama3 },
            mlp_bias: true,
            ..tiny.clone()
        };
        let mistral = Config {
            model_type: ModelType::Mistral,
            sliding_window: 9,
            sliding_layers: vec![true; tiny.num_hidden_layers as usize],
            ..tiny.clone()
        };
        let upper = vec![false, false, true, true];
        let qwen2 = Config { model_type: ModelType::Qwen2, qkv_bias: true, sliding_window: 5, sliding_layers: upper, ..tiny.clone() };
        let yarn = RopeScaling::Yarn {
            factor: 4.0,
            original_max_position_embeddings: 1024.0,
            attention_factor: 0.1 + 0.2,
            beta_fast: 16.0,
            beta_slow: 0.5,
            truncate: false,
        };
        let [yarn, dynamic] = [yarn, RopeScaling::Dynamic { factor: 2.0 }].map(|scaling| Rope { theta: 1e4, scaling });
        let qwen3 = Config { model_type: ModelType::Qwen3, rope: yarn, local_rope: yarn, pad_token_id: Some(3), ..tiny.clone() };
        let mixed = Config { sliding_layers: vec![true, false, true, true], rope: dynamic, local_rope: dynamic, ..mistral.clone() };
        let scaled_windows = Config { local_rope: dynamic, query_pre_attn_scalar: 11.0, ..gemma() };
        let all = [scaled, mistral, mixed, qwen2, qwen3, gemma(), scaled_windows];
        for config in PRESETS.iter().map(|p| p.config.clone()).chain(all) {
            assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
        }
    }

    #[test]
    fn older_and_newer_files_mean_the_same() {
        let mut newer: Value = serde_json::from_str(&gemma().to_json()).unwrap();
        for field in ["rope_theta", "rope_scaling", "rope_local_base_freq"] {
            newer.as_object_mut().unwrap().remove(field);
        }
        newer["rope_parameters"] = json!({
            "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
            "sliding_attention": { "rope_type": "default", "rope_theta": 1e4 },
        });
        assert_eq!(Config::from_json(&newer.to_string()).unwrap(), gemma());
        let mut patterned: Value = serde_json::from_str(&gemma().to_json()).unwrap();
        patterned.as_object_mut().unwrap().remove("layer_types");
        patterned["sliding_window_pattern"] = json!(3);
        assert_eq!(Config::from_json(&patterned.to_string()).unwrap(), gemma());
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for theta in [1.0011111111111112e99, 0.1 + 0.2, 1e-7 / 3.0] {
            let config = Config { rope: Rope::plain(theta), local_rope: Rope::plain(theta), ..PRESETS[0].config.clone() };
            assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
        }
    }

    /// As in `transformers`, which ignores them in other families.
    #[test]
    fn soft_caps_are_for_families_that_have_them() {
        let mut llama: Value = serde_json::from_str(&PRESETS[0].config.to_json()).unwrap();
        llama["final_logit_softcapping"] = json!(30.0);
        llama["query_pre_attn_scalar"] = json!(7);
        assert_eq!(Config::from_json(&llama.to_string()).unwrap(), PRESETS[0].config);
    }

    fn small(model_type: &str, more: Value) -> Result<Config> {
        let mut config = json!({
            "model_type": model_type, "hidden_size": 64, "intermediate_size": 72, "num_hidden_layers": 3, "num_attention_heads": 16,
            "head_dim": 16, "vocab_size": 96,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Config::from_json(&config.to_string())
    }

    #[test]
    fn missing_fields_have_the_defaults_of_the_class() {
        let missing = |model_type| small(model_type, json!({}));
        assert_eq!(missing("gemma3_text").unwrap().query_pre_attn_scalar, 256.0);
        assert_eq!(missing("gemma3_text").unwrap().pad_token_id, Some(0));
        assert_eq!(missing("gemma3_text").unwrap().num_key_value_heads, 4);
        let mistral = missing("mistral").unwrap();
        assert_eq!((mistral.sliding_window, mistral.num_key_value_heads), (4096, 8));
        assert_eq!(small("mistral", json!({ "num_key_value_heads": null, "sliding_window": null })).unwrap().num_key_value_heads, 16);
        assert_eq!(missing("llama").unwrap().num_key_value_heads, 16);
        // The class has 32, which is no divisor of 16.
        assert!(missing("qwen3").unwrap_err().to_string().contains("num_key_value_heads"));
        let sizes = Config::from_json(r#"{"model_type": "qwen2"}"#).unwrap();
        assert_eq!((sizes.hidden_size, sizes.vocab_size, sizes.max_position_embeddings), (4096, 151_936, 32_768));
    }

    #[test]
    fn layer_types_count_in_every_family() {
        let types = json!({ "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention", "full_attention"] });
        assert_eq!(small("mistral", types.clone()).unwrap().sliding_layers, [false, true, false]);
        assert!(small("llama", types.clone()).unwrap_err().to_string().contains("layer_types"));
        let mut qwen2 = types;
        qwen2["num_key_value_heads"] = json!(2);
        assert!(small("qwen2", qwen2.clone()).unwrap_err().to_string().contains("use_sliding_window"));
        qwen2["use_sliding_window"] = json!(true);
        assert_eq!(small("qwen2", qwen2).unwrap().sliding_layers, [false, true, false]);
        let full = json!({ "layer_types": ["full_attention", "full_attention", "full_attention"] });
        assert!(small("llama", full.clone()).unwrap().sliding_layers.is_empty());
        assert!(small("mistral", full).unwrap().sliding_layers.is_empty());
    }

    /// As PyTorch reads `padding_idx`.
    #[test]
    fn padding_tokens_count_from_either_end() {
        let pad = |id: Value| small("llama", json!({ "pad_token_id": id })).map(|config| config.pad_token_id);
        assert_eq!((pad(json!(7)).unwrap(), pad(json!(-1)).unwrap()), (Some(7), Some(95)));
        assert_eq!((pad(json!(null)).unwrap(), pad(json!(96)).unwrap()), (None, None));
        assert!(pad(json!("<pad>")).is_err());
        assert_eq!(small("gemma3_text", json!({ "pad_token_id": null })).unwrap().pad_token_id, None);
    }

    #[test]
    fn an_unknown_field_is_refused_unless_it_is_empty() {
        for (field, value) in [("residual_multiplier", json!(2.0)), ("per_layer_config", json!({ "0": {} })), ("is_causal", json!(false))] {
            let error = small("llama", json!({ field: value })).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
        for value in [json!(null), json!(false), json!(0.0), json!(""), json!([]), json!({})] {
            small("llama", json!({ "a_field_of_tomorrow": value })).unwrap();
        }
        small("llama", json!({ "quantization_config": { "quant_method": "bitsandbytes" }, "unsloth_version": "2026.1" })).unwrap();
    }

    #[test]
    fn an_unsupported_field_is_named() {
        let llama: Value = serde_json::from_str(&PRESETS[0].config.to_json()).unwrap();
        let gemma: Value = serde_json::from_str(&gemma().to_json()).unwrap();
        let cases = [
            (&llama, "model_type", json!("gpt2")),
            (&llama, "hidden_act", json!("relu")),
            (&llama, "attention_bias", json!("yes")),
            (&llama, "head_dim", json!(33)),
            (&llama, "num_key_value_heads", json!(3)),
            (&llama, "num_attention_heads", json!(0)),
            (&llama, "hidden_size", json!("wide")),
            (&llama, "num_hidden_layers", json!(4_000_000_000u32)),
            (&llama, "vocab_size", json!(0)),
            (&llama, "rope_theta", json!(-1.0)),
            (&llama, "rope_scaling", json!({"rope_type": "longrope", "factor": 4.0})),
            (&llama, "rope_scaling", json!({"rope_type": "yarn", "factor": 4.0, "attention_factor": -1.0})),
            (&llama, "rope_scaling", json!({"rope_type": "llama3", "factor": 4.0})),
            (&llama, "rope_parameters", json!({"partial_rotary_factor": 0.5})),
            (&gemma, "layer_types", json!(["full_attention"])),
            (&gemma, "layer_types", json!(["full_attention", "linear_attention", "full_attention", "full_attention"])),
            (&gemma, "sliding_window", json!(null)),
            (&gemma, "final_logit_softcapping", json!(0.0)),
            (&gemma, "use_bidirectional_attention", json!(true)),
        ];
        for (base, field, value) in cases {
            let mut changed = base.clone();
            changed[field] = value;
            let error = Config::from_json(&changed.to_string()).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
