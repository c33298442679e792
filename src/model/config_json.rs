//! Reads and writes `config.json`.

use serde_json::{Map, Value, json};

use super::{Activation, Bias, Config, FAMILIES, Family, Rope, RopeScaling, Windows};
use crate::error::{Error, Result};

impl Config {
    /// Reads a `config.json`. Missing fields have the defaults of `transformers`.
    ///
    /// # Errors
    /// [`Error::Config`] with the field that is missing, malformed or not supported.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::config("the file", format!("is not JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(Error::config("the file", "must hold one JSON object"));
        };
        let family = family(&map)?;
        let heads = size(&map, "num_attention_heads", None)?;
        let hidden_size = size(&map, "hidden_size", None)?;
        let num_hidden_layers = size(&map, "num_hidden_layers", None)?;
        let vocab_size = size(&map, "vocab_size", None)?;
        let (sliding_window, sliding_layers) = windows(&map, family, num_hidden_layers)?;
        let rope = rope(&map, "full_attention", "rope_theta", family.rope_theta)?;
        let local_rope = match family.local_rope_theta {
            Some(theta) => rope_of_windows(&map, theta)?,
            None => rope,
        };
        let of_scores = |field| if family.caps_scores { optional(&map, field) } else { Ok(None) };
        let config = Config {
            model_type: family.model_type,
            hidden_size,
            intermediate_size: size(&map, "intermediate_size", None)?,
            num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: size(&map, "num_key_value_heads", Some(heads))?,
            head_dim: head_dim(&map, family, hidden_size, heads)?,
            vocab_size,
            rms_norm_eps: real(&map, "rms_norm_eps", 1e-6)?,
            hidden_act: activation(&map, family)?,
            rope,
            local_rope,
            sliding_window,
            sliding_layers,
            query_pre_attn_scalar: of_scores("query_pre_attn_scalar")?.unwrap_or(0.0),
            final_logit_softcapping: of_scores("final_logit_softcapping")?,
            qkv_bias: bias(&map, family.qkv_bias)?,
            output_bias: bias(&map, family.output_bias)?,
            mlp_bias: bias(&map, family.mlp_bias)?,
            tie_word_embeddings: flag(&map, "tie_word_embeddings", family.ties_embeddings)?,
            max_position_embeddings: size(&map, "max_position_embeddings", Some(2048))?,
            pad_token_id: pad_token_id(&map, vocab_size)?,
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
            "rope_theta": self.rope.theta,
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
        if let Some(scaling) = self.rope.scaling.to_json() {
            map["rope_scaling"] = scaling;
        }
        if family.local_rope_theta.is_some() {
            map["rope_local_base_freq"] = json!(self.local_rope.theta);
        }
        if family.caps_scores {
            map["query_pre_attn_scalar"] = whole(self.query_pre_attn_scalar);
            map["final_logit_softcapping"] = json!(self.final_logit_softcapping);
        }
        self.add_windows(&mut map);
        serde_json::to_string_pretty(&map).expect("a JSON value can be written")
    }

    fn add_windows(&self, map: &mut Value) {
        let slides = self.sliding_layers.contains(&true);
        let windows = self.family().windows;
        if windows != Windows::Never {
            map["sliding_window"] = if slides { json!(self.sliding_window) } else { Value::Null };
        }
        if windows == Windows::Upper {
            map["use_sliding_window"] = json!(slides);
        }
        if matches!(windows, Windows::Upper | Windows::Pattern) {
            let name = |layer| if self.window(layer).is_some() { SLIDING } else { FULL };
            map["layer_types"] = (0..self.num_hidden_layers).map(name).collect();
        }
    }
}

/// An integer if the number has no fraction: `transformers` requires it in some fields.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
}

const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

impl Activation {
    /// The name in `config.json`.
    fn name(self) -> &'static str {
        match self {
            Activation::Silu => "silu",
            Activation::GeluTanh => "gelu_pytorch_tanh",
        }
    }
}

impl RopeScaling {
    fn to_json(self) -> Option<Value> {
        match self {
            RopeScaling::None => None,
            RopeScaling::Linear { factor } => Some(json!({ "rope_type": "linear", "factor": factor })),
            RopeScaling::Dynamic { factor } => Some(json!({ "rope_type": "dynamic", "factor": factor })),
            RopeScaling::Yarn { factor, original_max_position_embeddings, attention_factor, beta_fast, beta_slow, truncate } => {
                Some(json!({
                    "rope_type": "yarn",
                    "factor": factor,
                    "original_max_position_embeddings": whole(original_max_position_embeddings),
                    "attention_factor": attention_factor,
                    "beta_fast": beta_fast,
                    "beta_slow": beta_slow,
                    "truncate": truncate,
                }))
            }
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => Some(json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings as u64,
            })),
        }
    }
}

fn family(map: &Map<String, Value>) -> Result<&'static Family> {
    let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    let supported = names.join(", ");
    let Some(name) = map.get("model_type") else {
        return Err(Error::config("model_type", format!("is missing; supported are {supported}")));
    };
    let found = FAMILIES.iter().find(|family| name == family.name);
    found.ok_or_else(|| Error::config("model_type", format!("is {}; supported are {supported}", shortened(name))))
}

fn activation(map: &Map<String, Value>, family: &Family) -> Result<Activation> {
    let field = family.activation_field;
    let name = map.get(field).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| json!(family.activation));
    match name.as_str() {
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        _ => Err(Error::config(field, format!("is {}; silu and gelu_pytorch_tanh are supported", shortened(&name)))),
    }
}

fn bias(map: &Map<String, Value>, bias: Bias) -> Result<bool> {
    match bias {
        Bias::Always => Ok(true),
        Bias::Field(field) => flag(map, field, false),
        Bias::Never => Ok(false),
    }
}

fn head_dim(map: &Map<String, Value>, family: &Family, hidden_size: u32, heads: u32) -> Result<u32> {
    match (size(map, "head_dim", Some(0))?, family.head_dim) {
        (0, Some(usual)) => Ok(usual),
        (0, None) if heads > 0 && hidden_size.is_multiple_of(heads) => Ok(hidden_size / heads),
        (0, None) => Err(Error::config(
            "head_dim",
            format!("is missing, and hidden_size {hidden_size} is no multiple of num_attention_heads {heads}"),
        )),
        (given, _) => Ok(given),
    }
}

/// PyTorch's `padding_idx`: a negative one counts from the end of the vocabulary. One outside the vocabulary, which PyTorch refuses, stands
/// for none.
fn pad_token_id(map: &Map<String, Value>, vocab_size: u32) -> Result<Option<u32>> {
    let Some(value) = map.get("pad_token_id").filter(|value| !value.is_null()) else { return Ok(None) };
    let id = value.as_i64().ok_or_else(|| Error::config("pad_token_id", format!("is {}, and must be a token id", shortened(value))))?;
    let id = if id < 0 { id + i64::from(vocab_size) } else { id };
    Ok(u32::try_from(id).ok().filter(|&id| id < vocab_size))
}

/// The sliding window in tokens, and which layers have it.
fn windows(map: &Map<String, Value>, family: &Family, layers: u32) -> Result<(u32, Vec<bool>)> {
    if map.get("use_bidirectional_attention").is_some_and(|value| value == true) {
        return Err(Error::config("use_bidirectional_attention", "is true, and only causal attention is supported"));
    }
    let window = size(map, "sliding_window", Some(0))?;
    let listed = match map.get("layer_types") {
        Some(Value::Array(types)) if family.windows != Windows::Never => Some(types.iter().map(slides).collect::<Result<Vec<bool>>>()?),
        _ => None,
    };
    if let Some(listed) = &listed
        && listed.len() != layers as usize
    {
        return Err(Error::config("layer_types", format!("lists {} layers, and num_hidden_layers is {layers}", listed.len())));
    }
    let slides = match (family.windows, listed) {
        (Windows::Never, _) => Vec::new(),
        (Windows::All, _) => each(layers, |_| window > 0),
        (_, Some(listed)) => listed,
        (Windows::Upper, None) => {
            let from = size(map, "max_window_layers", Some(28))?;
            let is_used = flag(map, "use_sliding_window", false)? && window > 0;
            each(layers, |layer| is_used && layer >= from)
        }
        (Windows::Pattern, None) => {
            let every = size(map, "sliding_window_pattern", Some(6))?.max(1);
            each(layers, |layer| !(layer + 1).is_multiple_of(every))
        }
    };
    Ok(if slides.contains(&true) { (window, slides) } else { (0, Vec::new()) })
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

/// The rotary embedding of a kind of layer. Newer files have `rope_parameters`, with an entry per kind of layer if there are several; older
/// ones have the base at the top level and the rest in `rope_scaling`.
fn rope(map: &Map<String, Value>, kind: &str, theta_field: &str, theta: f64) -> Result<Rope> {
    let empty = Map::new();
    let object = |field: &str| match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => Err(Error::config(field, format!("is {}, and must be an object", shortened(other)))),
    };
    let (field, parameters) = match (object("rope_parameters")?, object("rope_scaling")?) {
        (Some(all), _) => match all.get(kind) {
            Some(Value::Object(one)) => (format!("rope_parameters.{kind}"), one),
            _ => ("rope_parameters".to_owned(), all),
        },
        (None, Some(scaling)) => ("rope_scaling".to_owned(), scaling),
        (None, None) => ("rope_scaling".to_owned(), &empty),
    };
    let theta = if parameters.contains_key("rope_theta") { real(parameters, "rope_theta", theta)? } else { real(map, theta_field, theta)? };
    Ok(Rope { theta, scaling: rope_scaling(&field, parameters, map)? })
}

fn rope_of_windows(map: &Map<String, Value>, theta: f64) -> Result<Rope> {
    match map.get("rope_parameters").and_then(|all| all.get(SLIDING)) {
        Some(Value::Object(_)) => rope(map, SLIDING, "rope_local_base_freq", theta),
        // The scaling of full-attention layers does not apply to them.
        _ => Ok(Rope::plain(real(map, "rope_local_base_freq", theta)?)),
    }
}

fn rope_scaling(field: &str, parameters: &Map<String, Value>, map: &Map<String, Value>) -> Result<RopeScaling> {
    let named = |error: Error| match error {
        Error::Config { field: inner, problem } => Error::config(format!("{field}.{inner}"), problem),
        other => other,
    };
    let partial = real(parameters, "partial_rotary_factor", real(map, "partial_rotary_factor", 1.0)?).map_err(named)?;
    if partial != 1.0 {
        return Err(Error::config(format!("{field}.partial_rotary_factor"), format!("is {partial}, and only 1 is supported")));
    }
    let kind = ["rope_type", "type"].iter().find_map(|name| parameters.get(*name).filter(|value| !value.is_null()));
    let number = |name: &str| match parameters.get(name) {
        None => Err(Error::config(format!("{field}.{name}"), "is missing")),
        Some(_) => real(parameters, name, 0.0).map_err(named),
    };
    match kind.map(|kind| kind.as_str().unwrap_or("")) {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: number("factor")? }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_max_position_embeddings: number("original_max_position_embeddings")?,
        }),
        Some(_) => {
            let kind = shortened(kind.expect("there is one"));
            Err(Error::config(format!("{field}.rope_type"), format!("is {kind}; default, linear and llama3 are supported")))
        }
    }
}

/// A value, shortened for an error message.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn size(map: &Map<String, Value>, field: &str, default: Option<u32>) -> Result<u32> {
    match (map.get(field), default) {
        (None | Some(Value::Null), Some(default)) => Ok(default),
        (None | Some(Value::Null), None) => Err(Error::config(field, "is missing")),
        (Some(value), _) => value
            .as_u64()
            .and_then(|v| u32::try_from(v).ok())
            .ok_or_else(|| Error::config(field, format!("is {}, and must be a whole number below 2^32", shortened(value)))),
    }
}

fn real(map: &Map<String, Value>, field: &str, default: f64) -> Result<f64> {
    Ok(optional(map, field)?.unwrap_or(default))
}

fn optional(map: &Map<String, Value>, field: &str) -> Result<Option<f64>> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| Error::config(field, format!("is {}, and must be a number", shortened(value))))
        }
    }
}

fn flag(map: &Map<String, Value>, field: &str, default: bool) -> Result<bool> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_bool().ok_or_else(|| Error::config(field, format!("is {}, and must be true or false", shortened(value)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelType, PRESETS};

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
        let qwen3 = Config { model_type: ModelType::Qwen3, ..tiny.clone() };
        for config in PRESETS.iter().map(|p| p.config.clone()).chain([scaled, mistral, qwen2, qwen3, gemma()]) {
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

    /// As PyTorch reads `padding_idx`.
    #[test]
    fn padding_tokens_count_from_either_end() {
        let mut llama: Value = serde_json::from_str(&PRESETS[0].config.to_json()).unwrap();
        let mut pad = |id: Value| {
            llama["pad_token_id"] = id;
            Config::from_json(&llama.to_string()).map(|config| config.pad_token_id)
        };
        assert_eq!((pad(json!(7)).unwrap(), pad(json!(-1)).unwrap()), (Some(7), Some(255)));
        assert_eq!((pad(json!(null)).unwrap(), pad(json!(256)).unwrap()), (None, None));
        assert!(pad(json!("<pad>")).is_err());
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
            (&llama, "rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
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
