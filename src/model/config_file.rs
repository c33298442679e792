//! A `config.json` as it comes: that of a text model, or that of a multimodal model with a text model inside.

use serde_json::{Map, Value, json};

use super::tensors::read_whole;
use super::{FAMILIES, Files, ModelType};
use crate::error::{Error, Result};

/// A `config.json`.
#[derive(Clone, Debug)]
pub(crate) struct ConfigFile {
    /// The `config.json` of the text model, without how weights are quantised.
    pub json: String,
    /// How weights are quantised, if it says so: the field and its value.
    pub quantization: Option<(&'static str, Value)>,
    /// Is the text model a part of a multimodal one?
    pub is_multimodal: bool,
}

pub(crate) const CONFIG: &str = "config.json";
/// A limit that no real `config.json` reaches.
const MAX_BYTES: u64 = 4 << 20;
/// Fields that say how weights are quantised: MLX's, everybody else's, and a former one.
const QUANTIZATION: [&str; 3] = ["quantization", "quantization_config", "compression_config"];
/// The multimodal model whose text model is opened.
const MULTIMODAL: &str = "gemma3";
/// Fields that hold the parts of other multimodal models.
const PARTS: [&str; 6] = ["text_config", "vision_config", "audio_config", "llm_config", "thinker_config", "language_config"];
/// Fields of the whole that count for its text model.
const SHARED: [&str; 6] = ["bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "dtype", "torch_dtype"];

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is missing or too large, [`Error::Config`] if it is not UTF-8, or of an unsupported multimodal model. Errors of
    /// `files`.
    pub async fn read<F: Files>(files: &F) -> Result<Self> {
        ConfigFile::parse(read_whole(files, CONFIG, MAX_BYTES).await?)
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let json = String::from_utf8(bytes).map_err(|_| Error::config("the file", "is not UTF-8 text"))?;
        // What is no object is refused where its fields are read.
        let Ok(mut whole) = serde_json::from_str::<Map<String, Value>>(&json) else {
            return Ok(ConfigFile { json, quantization: None, is_multimodal: false });
        };
        let of_whole = take_quantization(&mut whole);
        let text = text_model(&whole)?;
        let is_multimodal = text.is_some();
        let mut model = text.unwrap_or(whole);
        let quantization = of_whole.or(take_quantization(&mut model));
        Ok(ConfigFile { json: Value::Object(model).to_string(), quantization, is_multimodal })
    }
}

/// Takes out how weights are quantised.
fn take_quantization(fields: &mut Map<String, Value>) -> Option<(&'static str, Value)> {
    let removed = QUANTIZATION.map(|field| (field, fields.remove(field)));
    removed.into_iter().find_map(|(field, value)| Some((field, value.filter(|value| !value.is_null())?)))
}

/// The `config.json` of a multimodal model's text model.
fn text_model(whole: &Map<String, Value>) -> Result<Option<Map<String, Value>>> {
    let model_type = whole.get("model_type").and_then(Value::as_str).unwrap_or("");
    if model_type != MULTIMODAL {
        let is_text = FAMILIES.iter().any(|family| family.name == model_type);
        let is_multimodal = !is_text && PARTS.iter().any(|part| whole.get(*part).is_some_and(Value::is_object));
        let problem =
            || format!("is {model_type:?}, a multimodal model; of those only {MULTIMODAL} is opened, for its text: take a text model");
        return if is_multimodal { Err(Error::config("model_type", problem())) } else { Ok(None) };
    }
    let Some(Value::Object(text)) = whole.get("text_config") else {
        return Err(Error::config("text_config", format!("is missing, and a {MULTIMODAL} model has its text model there")));
    };
    let mut text = text.clone();
    for field in SHARED {
        if let Some(value) = whole.get(field).filter(|value| !value.is_null()) {
            text.insert(field.to_owned(), value.clone());
        }
    }
    let family = ModelType::Gemma3Text.family();
    text.insert("model_type".to_owned(), json!(family.name));
    text.insert("architectures".to_owned(), json!([family.architecture]));
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(config: &Value) -> Result<ConfigFile> {
        ConfigFile::parse(config.to_string().into_bytes())
    }

    #[test]
    fn the_text_model_of_a_multimodal_one_is_taken_out() {
        let text = json!({ "model_type": "gemma3_text", "hidden_size": 8, "eos_token_id": 1 });
        let whole = json!({ "model_type": "gemma3", "text_config": text, "vision_config": {}, "eos_token_id": [1, 106], "mm_tokens": 256 });
        let file = parse(&whole).unwrap();
        assert!(file.is_multimodal);
        let expected = json!({
            "model_type": "gemma3_text",
            "architectures": ["Gemma3ForCausalLM"],
            "hidden_size": 8,
            "eos_token_id": [1, 106],
        });
        assert_eq!(serde_json::from_str::<Value>(&file.json).unwrap(), expected);
    }

    #[test]
    fn other_multimodal_models_get_a_sentence() {
        let said = parse(&json!({ "model_type": "qwen2_5_vl", "vision_config": {} })).unwrap_err().to_string();
        assert!(said.contains("\"qwen2_5_vl\", a multimodal model"), "{said}");
        let said = parse(&json!({ "model_type": "gemma3" })).unwrap_err().to_string();
        assert!(said.contains("text_config"), "{said}");
        assert!(!parse(&json!({ "model_type": "gpt2" })).unwrap().is_multimodal);
    }

    #[test]
    fn how_weights_are_quantised_is_kept_apart() {
        let file = parse(&json!({ "model_type": "llama", "quantization_config": { "quant_method": "gptq" } })).unwrap();
        assert_eq!(file.json, json!({ "model_type": "llama" }).to_string());
        assert_eq!(file.quantization, Some(("quantization_config", json!({ "quant_method": "gptq" }))));
        assert_eq!(parse(&json!({ "quantization_config": null })).unwrap().quantization, None);
        let inner = json!({ "model_type": "gemma3_text", "quantization_config": { "quant_method": "awq" } });
        let file = parse(&json!({ "model_type": "gemma3", "text_config": inner })).unwrap();
        assert!(!file.json.contains("quantization_config"), "{}", file.json);
        assert_eq!(file.quantization, Some(("quantization_config", json!({ "quant_method": "awq" }))));
    }
}
