//! The special tokens of a tokenizer, from all files that name them, in the order of `transformers`: `tokenizer_config.json` with its
//! `added_tokens_decoder`, or else the older `special_tokens_map.json` and `added_tokens.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::tokenizer_files::TokenizerFiles;
use crate::error::{Error, Result};

/// The special tokens that the files beside `tokenizer.json` name.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    /// By names such as `bos_token`.
    named: BTreeMap<String, AddedToken>,
    /// Are special tokens that are written in a text encoded as any other text?
    pub are_split: bool,
    /// Tokens with an id of their own, in the order of ids.
    with_ids: BTreeMap<u64, AddedToken>,
    /// Those of `with_ids` give way to tokens of `tokenizer.json` with the same id.
    are_legacy: bool,
    /// Tokens without a name or an id.
    extra: Vec<AddedToken>,
}

/// The usual names, in the order in which `transformers` adds their tokens.
const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const CONFIG: &str = "tokenizer_config.json";
const MAP: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
const EXTRA: &str = "extra_special_tokens";

impl SpecialTokens {
    /// Reads the files. `config` is the content of `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Data`] with the file and the field that is malformed.
    pub fn read(files: &TokenizerFiles, config: &Map<String, Value>) -> Result<Self> {
        let mut tokens = SpecialTokens { are_split: config.get("split_special_tokens") == Some(&Value::Bool(true)), ..Self::default() };
        tokens.add_named(CONFIG, config)?;
        if let Some(decoder) = config.get("added_tokens_decoder").filter(|decoder| !decoder.is_null()) {
            tokens.add_decoder(decoder)?;
            return Ok(tokens);
        }
        tokens.are_legacy = true;
        if let Some(bytes) = &files.special_tokens_map {
            tokens.add_named(MAP, &object(MAP, bytes)?)?;
        }
        if let Some(bytes) = &files.added_tokens {
            for (text, id) in object(ADDED, bytes)? {
                let id = id.as_u64().ok_or_else(|| broken(ADDED, &text, "is no id"))?;
                let is_special = tokens.without_ids().any(|token| token.content == text);
                tokens.with_ids.insert(id, AddedToken::from(text, is_special).normalized(!is_special));
            }
        }
        Ok(tokens)
    }

    /// The texts of the tokens that have names.
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.named.iter().map(|(name, token)| (name.clone(), token.content.clone())).collect()
    }

    fn without_ids(&self) -> impl Iterator<Item = &AddedToken> {
        let usual = NAMES.into_iter().filter_map(|name| self.named.get(name));
        let others = self.named.iter().filter(|(name, _)| !NAMES.contains(&name.as_str())).map(|(_, token)| token);
        usual.chain(others).chain(&self.extra)
    }

    /// Adds the tokens that a tokenizer lacks, or that it has with other properties. Returns whether it lacked any.
    ///
    /// # Errors
    /// [`Error::Data`] if the library cannot add them.
    pub fn add_to(&self, tokenizer: &mut tokenizers::Tokenizer) -> Result<bool> {
        let own = tokenizer.get_added_tokens_decoder();
        let is_own = |content: &str| own.values().any(|token| token.content == content);
        let with_ids = self.with_ids.iter().filter(|(id, _)| !(self.are_legacy && own.contains_key(&(**id as u32))));
        let mut added: Vec<AddedToken> = with_ids.map(|(_, token)| token.clone()).collect();
        for token in self.without_ids() {
            if !is_own(&token.content) && !added.iter().any(|other| other.content == token.content) {
                added.push(token.clone());
            }
        }
        let is_lacking = added.iter().any(|token| tokenizer.token_to_id(&token.content).is_none());
        let failed = |e| Error::Data(format!("the tokens of {CONFIG} cannot be added to tokenizer.json ({e})"));
        tokenizer.add_tokens(added).map_err(failed)?;
        Ok(is_lacking)
    }

    /// Tokens by names, and lists of tokens without names. Those of a later file replace those of an earlier one.
    fn add_named(&mut self, file: &str, map: &Map<String, Value>) -> Result<()> {
        for (name, value) in map.iter().filter(|(name, _)| name.ends_with("_token")) {
            if let Some(token) = token(value) {
                self.named.insert(name.clone(), token);
            }
        }
        let of = |field: &str| map.get(field).filter(|value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
        let (extra, older) = (of(EXTRA), of("additional_special_tokens"));
        if let Some(Value::Object(named)) = extra {
            for (name, value) in named {
                self.named.insert(name.clone(), token(value).ok_or_else(|| broken(file, name, "is no token"))?);
            }
        }
        match extra.filter(|value| !value.is_object()).or_else(|| older.filter(|_| self.extra.is_empty())) {
            None => {}
            Some(Value::Array(list)) => {
                for value in list {
                    self.extra.push(token(value).ok_or_else(|| broken(file, EXTRA, "has something that is no token"))?);
                }
            }
            Some(_) => return Err(broken(file, EXTRA, "is neither a list nor an object of tokens")),
        }
        Ok(())
    }

    fn add_decoder(&mut self, decoder: &Value) -> Result<()> {
        let field = "added_tokens_decoder";
        let map = decoder.as_object().ok_or_else(|| broken(CONFIG, field, "is no object"))?;
        for (id, value) in map {
            let id: u64 = id.parse().map_err(|_| broken(CONFIG, field, &format!("has the key {id:?}, which is no id")))?;
            let found = decoded(value).ok_or_else(|| broken(CONFIG, field, &format!("has no token for the id {id}")))?;
            self.with_ids.insert(id, found);
        }
        for token in self.with_ids.values_mut() {
            token.special |= self.named.values().any(|named| named.content == token.content);
        }
        Ok(())
    }
}

/// The object in a file.
pub(super) fn object(file: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|e| Error::Data(format!("{file} is broken ({e})")))
}

fn broken(file: &str, field: &str, problem: &str) -> Error {
    Error::Data(format!("{file}: {field} {problem}"))
}

/// A special token: its text, or an object with its properties.
fn token(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(text) => Some(AddedToken::from(text, true)),
        object => Some(AddedToken { special: true, ..decoded(object)? }),
    }
}

/// A token with its properties.
fn decoded(value: &Value) -> Option<AddedToken> {
    let has = |field: &str| value.get(field).and_then(Value::as_bool);
    let is_special = has("special").unwrap_or(false);
    let token = AddedToken::from(value.get("content")?.as_str()?, is_special);
    let [single_word, lstrip, rstrip] = ["single_word", "lstrip", "rstrip"].map(|field| has(field).unwrap_or(false));
    Some(token.single_word(single_word).lstrip(lstrip).rstrip(rstrip).normalized(has("normalized").unwrap_or(!is_special)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::SpecialTokenIds;
    use crate::model::tokenizer::byte_tokenizer_json;
    use crate::text::Tokenizer;
    use crate::text::samples::{bytes, with_files};

    #[test]
    fn tokens_that_only_other_files_name_are_added() {
        for files in [
            TokenizerFiles { config: bytes(&json!({ "additional_special_tokens": ["<new>"] })), ..Default::default() },
            TokenizerFiles { config: bytes(&json!({ "extra_special_tokens": [{ "content": "<new>" }] })), ..Default::default() },
            TokenizerFiles { config: bytes(&json!({ "extra_special_tokens": { "image_token": "<new>" } })), ..Default::default() },
            TokenizerFiles { config: bytes(&json!({ "eos_token": "<new>" })), ..Default::default() },
            TokenizerFiles {
                config: bytes(&json!({ "added_tokens_decoder": { "8": { "content": "<new>", "special": true } } })),
                ..Default::default()
            },
            TokenizerFiles { added_tokens: bytes(&json!({ "<new>": 8 })), ..Default::default() },
            TokenizerFiles { special_tokens_map: bytes(&json!({ "additional_special_tokens": ["<new>"] })), ..Default::default() },
        ] {
            let tokenizer = with_files(files).unwrap();
            assert_eq!(tokenizer.encode("hello<new>!").unwrap(), [3, 8, 6]);
            // So they are in what is saved.
            let saved = TokenizerFiles { tokenizer: tokenizer.files().tokenizer.clone(), ..Default::default() };
            assert_eq!(Tokenizer::from_files(saved, 12).unwrap().encode("hello<new>!").unwrap(), [3, 8, 6]);
        }
        // The order is that of transformers: tokens with ids, then bos, eos, pad, then others.
        let config = json!({ "extra_special_tokens": ["<x>"], "pad_token": "<p>", "eos_token": "<e>", "a_token": "<a>",
            "added_tokens_decoder": { "9": { "content": "<i>" } } });
        let tokenizer = with_files(TokenizerFiles { config: bytes(&config), ..Default::default() }).unwrap();
        assert_eq!(["<i>", "<e>", "<p>", "<a>"].map(|token| tokenizer.token_id(token).unwrap()), [8, 9, 10, 11]);
        let split = json!({ "split_special_tokens": true });
        let tokenizer = with_files(TokenizerFiles { config: bytes(&split), ..Default::default() }).unwrap();
        assert_ne!(tokenizer.encode("[CLS]").unwrap(), [1]);
        for (config, expected) in [
            (json!({ "extra_special_tokens": 7 }), "extra_special_tokens"),
            (json!({ "extra_special_tokens": [7] }), "no token"),
            (json!({ "added_tokens_decoder": { "a": { "content": "b" } } }), "no id"),
            (json!({ "added_tokens_decoder": [] }), "no object"),
        ] {
            let said = with_files(TokenizerFiles { config: bytes(&config), ..Default::default() }).err().unwrap().to_string();
            assert!(said.contains("tokenizer_config.json") && said.contains(expected), "{said}");
        }
    }

    /// Those of the older file are for a tokenizer_config.json that does not list its tokens.
    #[test]
    fn every_file_that_names_an_end_counts() {
        let files = |config: Value| TokenizerFiles {
            config: bytes(&config),
            special_tokens_map: bytes(&json!({ "eos_token": "!" })),
            generation_config: bytes(&json!({ "eos_token_id": [2, 5], "pad_token_id": 0 })),
            model_config: bytes(&json!({ "bos_token_id": 1, "eos_token_id": 4 })),
            ..Default::default()
        };
        let tokenizer = with_files(files(json!({ "eos_token": "hello" }))).unwrap();
        assert_eq!(*tokenizer.special_token_ids(), SpecialTokenIds { bos: Some(1), eos: vec![6, 2, 5, 4], pad: Some(0) });
        assert_eq!(tokenizer.end_of_text(), Some(6));
        let tokenizer = with_files(files(json!({ "eos_token": "hello", "added_tokens_decoder": {} }))).unwrap();
        assert_eq!(tokenizer.special_token_ids().eos, [3, 2, 5, 4]);
        // Bytes have none of their own. Those of the model alone end no text that is encoded.
        let json = byte_tokenizer_json().into_bytes();
        let of_bytes = Tokenizer::from_files(TokenizerFiles { tokenizer: json, ..files(json!({})) }, 256).unwrap();
        assert_eq!((of_bytes.special_token_ids().eos.as_slice(), of_bytes.end_of_text()), (&[2, 5, 4][..], None));
        let of_model =
            with_files(TokenizerFiles { model_config: bytes(&json!({ "eos_token_id": [99, 3] })), ..Default::default() }).unwrap();
        assert_eq!((of_model.special_token_ids().eos.as_slice(), of_model.end_of_text()), (&[99, 3][..], None));
        let broken = TokenizerFiles { generation_config: bytes(&json!({ "eos_token_id": "x" })), ..Default::default() };
        assert!(with_files(broken).err().unwrap().to_string().contains("generation_config.json has a eos_token_id"));
    }

    #[test]
    fn what_a_text_begins_and_ends_with_is_not_added_again() {
        let tokenizer = with_files(TokenizerFiles::default()).unwrap();
        assert_eq!(tokenizer.encode_with_special_tokens("hello").unwrap(), [1, 3, 2]);
        assert_eq!(tokenizer.encode_with_special_tokens("[CLS]hello").unwrap(), [1, 3, 2]);
        let config = json!({ "sep_token": "[SEP]" });
        let tokenizer = with_files(TokenizerFiles { config: bytes(&config), ..Default::default() }).unwrap();
        assert_eq!(tokenizer.encode_with_special_tokens("[CLS] hello [SEP]\n").unwrap(), [1, 3, 2]);
    }
}
