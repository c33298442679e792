//! The ids of special tokens in `config.json` and `generation_config.json`, where `transformers` looks for what ends a text.

use serde_json::{Map, Value, json};

use super::tokenizer::pretty;
use crate::error::{Error, Result};

/// The file beside `config.json` with the settings of generation.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

/// The ids of a model's special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokenIds {
    /// The token that starts a text.
    pub bos: Option<u32>,
    /// The tokens that end a text or a reply.
    pub eos: Vec<u32>,
    /// The token that fills batches up.
    pub pad: Option<u32>,
}

impl SpecialTokenIds {
    /// The ids that a `config.json` or a `generation_config.json` names.
    ///
    /// # Errors
    /// [`Error::Data`] with the field that is no id.
    pub fn read(file: &str, json: &[u8]) -> Result<Self> {
        let broken = |problem: String| Error::Data(format!("{file} {problem}"));
        let map: Map<String, Value> = serde_json::from_slice(json).map_err(|e| broken(format!("is no JSON object ({e})")))?;
        let ids = |field: &str| {
            let values: &[Value] = match map.get(field) {
                None | Some(Value::Null) => &[],
                Some(Value::Array(list)) => list,
                Some(value) => std::slice::from_ref(value),
            };
            // −1 is no token, and stands for none in some files.
            let values = values.iter().filter(|value| value.as_i64() != Some(-1));
            let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
            let ids: Option<Vec<u32>> = values.map(id).collect();
            ids.ok_or_else(|| broken(format!("has a {field} that is neither a token id nor a list of them")))
        };
        let first = |field: &str| Ok::<_, Error>(ids(field)?.first().copied());
        Ok(SpecialTokenIds { bos: first(BOS)?, eos: ids(EOS)?, pad: first(PAD)? })
    }

    /// These ids, with those of `other` where there are none. Whatever ends a text for one of them does.
    pub fn or(mut self, other: Self) -> Self {
        for id in other.eos {
            self.add_end(id);
        }
        SpecialTokenIds { bos: self.bos.or(other.bos), eos: self.eos, pad: self.pad.or(other.pad) }
    }

    /// One more token that ends a text.
    pub fn add_end(&mut self, id: u32) {
        if !self.eos.contains(&id) {
            self.eos.push(id);
        }
    }

    /// A `config.json` of ours with all three fields. A field that is missing would get the default of the family's class, and that is
    /// the id of some other token.
    pub fn written_to(&self, config_json: &str) -> String {
        let mut config: Value = serde_json::from_str(config_json).expect("it was written here");
        self.fields().into_iter().for_each(|(field, ids)| config[field] = ids);
        pretty(&config)
    }

    /// A `config.json` that came with a model, with the fields that it lacks.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn added_to(&self, config_json: &str) -> String {
        let mut config: Value = serde_json::from_str(config_json).expect("it was read before");
        for (field, ids) in self.fields().into_iter().filter(|(_, ids)| !ids.is_null()) {
            if config.get(field).is_none_or(Value::is_null) {
                config[field] = ids;
            }
        }
        pretty(&config)
    }

    /// The `generation_config.json` of a model, in which whatever ends a text is named. `None` if `existing` is that already, or if there
    /// is nothing to name.
    pub(super) fn generation_config(&self, existing: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut config: Value = match existing {
            Some(bytes) => serde_json::from_slice(bytes).ok().filter(Value::is_object)?,
            None => json!({}),
        };
        let named = SpecialTokenIds::read(GENERATION_CONFIG, pretty(&config).as_bytes()).ok()?;
        let wanted = named.clone().or(self.clone());
        if named == wanted {
            return None;
        }
        wanted.fields().into_iter().filter(|(_, ids)| !ids.is_null()).for_each(|(field, ids)| config[field] = ids);
        Some(pretty(&config).into_bytes())
    }

    /// One id is a number, several are a list.
    fn fields(&self) -> [(&'static str, Value); 3] {
        let eos = match self.eos.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        };
        [(BOS, json!(self.bos)), (EOS, eos), (PAD, json!(self.pad))]
    }
}

const BOS: &str = "bos_token_id";
const EOS: &str = "eos_token_id";
const PAD: &str = "pad_token_id";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SpecialTokenIds> {
        SpecialTokenIds::read("generation_config.json", json.as_bytes())
    }

    #[test]
    fn ids_are_numbers_or_lists() {
        let ids = read(r#"{"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": -1, "temperature": 0.6}"#).unwrap();
        assert_eq!(ids, SpecialTokenIds { bos: Some(1), eos: vec![2, 3], pad: None });
        assert_eq!(read(r#"{"eos_token_id": null}"#).unwrap(), SpecialTokenIds::default());
        for (json, expected) in
            [(r#"{"eos_token_id": "</s>"}"#, "eos_token_id"), (r#"{"bos_token_id": 0.5}"#, "bos_token_id"), ("[", "JSON")]
        {
            let said = read(json).unwrap_err().to_string();
            assert!(said.starts_with("generation_config.json") && said.contains(expected), "{said}");
        }
    }

    #[test]
    fn whatever_ends_a_text_is_written_and_nothing_else_changes() {
        let ids = SpecialTokenIds { bos: Some(0), eos: vec![3], pad: None };
        let fresh: Value = serde_json::from_str(&ids.written_to(r#"{"vocab_size": 9}"#)).unwrap();
        assert_eq!(fresh, json!({ "vocab_size": 9, "bos_token_id": 0, "eos_token_id": 3, "pad_token_id": null }));
        let kept: Value = serde_json::from_str(&ids.added_to(r#"{"bos_token_id": null, "eos_token_id": [5, 6]}"#)).unwrap();
        assert_eq!(kept, json!({ "bos_token_id": 0, "eos_token_id": [5, 6] }));

        let written = |existing: Option<&str>| {
            let bytes = ids.generation_config(existing.map(str::as_bytes))?;
            Some(serde_json::from_slice::<Value>(&bytes).unwrap())
        };
        assert_eq!(written(None), Some(json!({ "bos_token_id": 0, "eos_token_id": 3 })));
        assert_eq!(
            written(Some(r#"{"eos_token_id": 1, "top_p": 0.9}"#)),
            Some(json!({ "bos_token_id": 0, "eos_token_id": [1, 3], "top_p": 0.9 }))
        );
        assert_eq!(written(Some(r#"{"bos_token_id": 8, "eos_token_id": [3, 4]}"#)), None);
        assert_eq!(SpecialTokenIds::default().generation_config(None), None);
    }
}
