//! Validates a `tokenizer.json` before use: the file may be untrusted, and the library does not check everything.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The fields that are validated.
#[derive(Deserialize)]
pub(super) struct Outline {
    model: Model,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
}

#[derive(Deserialize)]
struct Model {
    vocab: LargestId,
    #[serde(default)]
    merges: Option<IgnoredAny>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
}

/// The largest token id of a vocabulary; `None` if it is empty.
struct LargestId(Option<u64>);

impl<'de> Deserialize<'de> for LargestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LargestIdVisitor)
    }
}

struct LargestIdVisitor;

impl<'de> Visitor<'de> for LargestIdVisitor {
    type Value = LargestId;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("tokens with their ids, or a list of tokens with their scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LargestId, A::Error> {
        let mut largest = None;
        while let Some((_, id)) = map.next_entry::<IgnoredAny, u64>()? {
            largest = largest.max(Some(id));
        }
        Ok(LargestId(largest))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<LargestId, A::Error> {
        let mut len = 0u64;
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            len += 1;
        }
        len.checked_sub(1).map(|last| LargestId(Some(last))).ok_or_else(|| de::Error::custom("the vocabulary is empty"))
    }
}

impl Outline {
    /// Checks the tokenizer. Returns the end of a sentence about the first problem otherwise.
    pub fn check(&self, vocab_size: u32) -> Result<(), String> {
        match self.model.vocab.0 {
            None => return Err("has an empty vocabulary".to_owned()),
            Some(id) if id >= u64::from(vocab_size) => {
                return Err(format!("has a token of the id {id}, and the model knows 0 to {}", i64::from(vocab_size) - 1));
            }
            Some(_) => (),
        }
        let prefix = self.model.continuing_subword_prefix.as_deref().unwrap_or_default();
        if self.model.merges.is_some() && !prefix.is_empty() {
            return Err("merges pairs whose second part has a prefix (continuing_subword_prefix), which is not supported".to_owned());
        }
        let parts = [&self.pre_tokenizer, &self.post_processor, &self.decoder];
        parts.into_iter().flatten().try_for_each(check_part)
    }
}

/// Checks a component and its subcomponents.
fn check_part(part: &Value) -> Result<(), String> {
    let number = |name: &str| part.get(name).and_then(Value::as_u64);
    match part.get("type").and_then(Value::as_str) {
        Some("FixedLength") if number("length") == Some(0) => return Err("splits texts into pieces of length 0".to_owned()),
        Some("Strip") if number("stop").is_some_and(|stop| stop > 0) => {
            return Err("strips the ends of tokens as it decodes, which is not supported".to_owned());
        }
        Some("TemplateProcessing") => check_template(part)?,
        _ => (),
    }
    match part {
        Value::Object(map) => map.values().try_for_each(check_part),
        Value::Array(list) => list.iter().try_for_each(check_part),
        _ => Ok(()),
    }
}

/// Checks that every special token of a post-processor's template is defined, and that the template takes a single text.
fn check_template(part: &Value) -> Result<(), String> {
    let pieces = part.get("single").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for piece in pieces {
        let id = |kind: &str| piece.get(kind).and_then(|piece| piece.get("id")).and_then(Value::as_str);
        if let Some(token) = id("SpecialToken").filter(|token| part["special_tokens"].get(token).is_none()) {
            return Err(format!("writes the token {token} around a text, and does not say what that is"));
        }
        if id("Sequence").is_some_and(|id| id != "A") {
            return Err("expects two texts where there is one".to_owned());
        }
    }
    Ok(())
}
