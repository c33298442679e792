//! The sizes of a decoder, as a Hugging Face `config.json` gives them.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// A Llama-type decoder. The fields have the names that a Hugging Face `config.json` has.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// D: the width of the residual stream.
    pub hidden_size: u32,
    /// F: the width of the MLP.
    pub intermediate_size: u32,
    /// L: decoder layers.
    pub num_hidden_layers: u32,
    /// H: query heads.
    pub num_attention_heads: u32,
    /// K: key and value heads; a divisor of H.
    pub num_key_value_heads: u32,
    /// E: the width of a head; even, since rotary embedding turns pairs.
    pub head_dim: u32,
    /// V: tokens in the vocabulary.
    pub vocab_size: u32,
    /// The ε under the root of every RMSNorm.
    pub rms_norm_eps: f64,
    /// The base of the rotary embedding's frequencies.
    pub rope_theta: f64,
    /// Is the language-model head the token embedding?
    pub tie_word_embeddings: bool,
    /// The longest sequence that the model was meant for. Recorded, not enforced.
    pub max_position_embeddings: u32,
}

impl Config {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] names the field that is missing, malformed or not supported.
    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::config("the file", format!("is not JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(Error::config("the file", "must hold one JSON object"));
        };
        reject_unsupported(&map)?;
        let heads = size(&map, "num_attention_heads", None)?;
        let hidden = size(&map, "hidden_size", None)?;
        let head_dim = match size(&map, "head_dim", Some(0))? {
            0 if hidden.is_multiple_of(heads) => hidden / heads,
            0 => {
                return Err(Error::config(
                    "head_dim",
                    format!("is missing, and hidden_size {hidden} is no multiple of num_attention_heads {heads}"),
                ));
            }
            given => given,
        };
        let config = Config {
            hidden_size: hidden,
            intermediate_size: size(&map, "intermediate_size", None)?,
            num_hidden_layers: size(&map, "num_hidden_layers", None)?,
            num_attention_heads: heads,
            num_key_value_heads: size(&map, "num_key_value_heads", Some(heads))?,
            head_dim,
            vocab_size: size(&map, "vocab_size", None)?,
            rms_norm_eps: real(&map, "rms_norm_eps", 1e-6)?,
            rope_theta: rope_theta(&map)?,
            tie_word_embeddings: flag(&map, "tie_word_embeddings")?,
            max_position_embeddings: size(&map, "max_position_embeddings", Some(2048))?,
        };
        config.validate()?;
        Ok(config)
    }

    /// The `config.json` that Hugging Face's `transformers` reads back.
    pub fn to_json(&self) -> String {
        let value = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "max_position_embeddings": self.max_position_embeddings,
            "attention_bias": false,
            "mlp_bias": false,
            "torch_dtype": "float32",
        });
        serde_json::to_string_pretty(&value).expect("a JSON value can be written")
    }

    /// Query heads that share one key and value head.
    pub fn queries_per_key(&self) -> u32 {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Are the sizes such that a model can be made of them?
    ///
    /// # Errors
    /// [`Error::Config`] names the field.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
        ];
        for (field, value) in sizes {
            if value == 0 || value > MAX_SIZE {
                return Err(Error::config(field, format!("is {value}, and must lie between 1 and {MAX_SIZE}")));
            }
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::config("head_dim", format!("is {}, and must be even: rotary embedding turns pairs", self.head_dim)));
        }
        if self.head_dim > MAX_HEAD_DIM {
            return Err(Error::config("head_dim", format!("is {}, and may be {MAX_HEAD_DIM} at most", self.head_dim)));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(Error::config(
                "num_key_value_heads",
                format!("is {}, and must divide num_attention_heads, which is {}", self.num_key_value_heads, self.num_attention_heads),
            ));
        }
        for (field, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::config(field, format!("is {value}, and must be positive")));
            }
        }
        Ok(())
    }
}

/// Keeps every product of two sizes, and every padded size, inside 64 bits.
const MAX_SIZE: u32 = 1 << 24;
/// A thread of the attention kernels holds whole heads in registers.
const MAX_HEAD_DIM: u32 = 256;

/// Names the first field that asks for something this crate would silently compute differently.
fn reject_unsupported(map: &Map<String, Value>) -> Result<()> {
    let expect = |field: &str, supported: &str| match map.get(field) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(value)) if value == supported => Ok(()),
        Some(other) => Err(Error::config(field, format!("is {other}, and only \"{supported}\" is supported"))),
    };
    if !map.contains_key("model_type") {
        return Err(Error::config("model_type", "is missing; \"llama\" is supported"));
    }
    expect("model_type", "llama")?;
    expect("hidden_act", "silu")?;
    for field in ["attention_bias", "mlp_bias"] {
        if flag(map, field)? {
            return Err(Error::config(field, "is true, and only models without biases are supported"));
        }
    }
    for field in ["rope_scaling", "rope_parameters"] {
        let Some(Value::Object(rope)) = map.get(field) else { continue };
        for kind in ["rope_type", "type"] {
            match rope.get(kind) {
                None | Some(Value::Null) => {}
                Some(Value::String(value)) if value == "default" => {}
                Some(other) => {
                    return Err(Error::config(format!("{field}.{kind}"), format!("is {other}, and only \"default\" is supported")));
                }
            }
        }
        let partial = real(rope, "partial_rotary_factor", 1.0)?;
        if partial != 1.0 {
            return Err(Error::config(format!("{field}.partial_rotary_factor"), format!("is {partial}, and only 1 is supported")));
        }
    }
    Ok(())
}

/// Newer files keep the base inside `rope_parameters`, older ones on top.
fn rope_theta(map: &Map<String, Value>) -> Result<f64> {
    match map.get("rope_parameters") {
        Some(Value::Object(rope)) if rope.contains_key("rope_theta") => real(rope, "rope_theta", 1e4),
        _ => real(map, "rope_theta", 1e4),
    }
}

fn size(map: &Map<String, Value>, field: &str, default: Option<u32>) -> Result<u32> {
    match (map.get(field), default) {
        (None | Some(Value::Null), Some(default)) => Ok(default),
        (None | Some(Value::Null), None) => Err(Error::config(field, "is missing")),
        (Some(value), _) => value
            .as_u64()
            .and_then(|v| u32::try_from(v).ok())
            .ok_or_else(|| Error::config(field, format!("is {value}, and must be a whole number"))),
    }
}

fn real(map: &Map<String, Value>, field: &str, default: f64) -> Result<f64> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_f64().ok_or_else(|| Error::config(field, format!("is {value}, and must be a number"))),
    }
}

fn flag(map: &Map<String, Value>, field: &str) -> Result<bool> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| Error::config(field, format!("is {value}, and must be true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;

    #[test]
    fn a_config_written_is_the_config_read() {
        for preset in PRESETS {
            assert_eq!(Config::from_json(&preset.config.to_json()).unwrap(), preset.config);
        }
    }

    #[test]
    fn an_unsupported_field_is_named() {
        let base: Value = serde_json::from_str(&PRESETS[0].config.to_json()).unwrap();
        let cases = [
            ("model_type", json!("gpt2")),
            ("hidden_act", json!("gelu")),
            ("attention_bias", json!(true)),
            ("head_dim", json!(33)),
            ("num_key_value_heads", json!(3)),
            ("hidden_size", json!("wide")),
            ("vocab_size", json!(0)),
            ("rope_theta", json!(-1.0)),
            ("rope_scaling", json!({"rope_type": "llama3"})),
        ];
        for (field, value) in cases {
            let mut changed = base.clone();
            changed[field] = value;
            let error = Config::from_json(&changed.to_string()).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
