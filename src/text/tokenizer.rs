//! Tokenizers: the byte vocabulary, or a `tokenizer.json`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use tokenizers::{Encoding, ModelWrapper, PostProcessor, PostProcessorWrapper};

use super::decoder::{self, Decoder};
use super::validate::Outline;
use crate::error::{Error, Result};
use crate::model::tokenizer::{byte_tokenizer_config_json, byte_tokenizer_json};

/// The approximate size in bytes of the pieces in which a text is encoded: the library's time grows faster than the text.
const PIECE_BYTES: usize = 1 << 16;
const BYTES: u32 = 256;

/// The tokenizer's files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, if there is one.
    pub config: Option<Vec<u8>>,
    /// `chat_template.jinja`, if there is one.
    pub chat_template: Option<Vec<u8>>,
}

impl TokenizerFiles {
    /// The files by name.
    pub fn named(&self) -> Vec<(&'static str, &[u8])> {
        let more = [("tokenizer_config.json", &self.config), ("chat_template.jinja", &self.chat_template)];
        let more = more.into_iter().filter_map(|(name, bytes)| Some((name, bytes.as_deref()?)));
        [("tokenizer.json", self.tokenizer.as_slice())].into_iter().chain(more).collect()
    }

    /// Reads the files of a directory, or of the directory of a `tokenizer.json`. `None` if there is no `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Io`] if an existing file cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(path: &std::path::Path) -> Result<Option<Self>> {
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let read = |path: &std::path::Path| match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path, error)),
        };
        let Some(tokenizer) = read(&file)? else { return Ok(None) };
        let (config, chat_template) = (file.with_file_name("tokenizer_config.json"), file.with_file_name("chat_template.jinja"));
        Ok(Some(TokenizerFiles { tokenizer, config: read(&config)?, chat_template: read(&chat_template)? }))
    }
}

/// A tokenizer.
pub struct Tokenizer {
    files: TokenizerFiles,
    /// `None` is the byte vocabulary.
    library: Option<Library>,
    special_tokens: BTreeMap<String, String>,
    chat_template: Option<String>,
}

struct Library {
    tokenizer: tokenizers::Tokenizer,
    /// The model's vocabulary size: one more than its largest token id.
    vocab_size: u32,
    /// The special tokens before and after a text.
    around: [Vec<u32>; 2],
}

impl Tokenizer {
    /// The byte vocabulary: token 0 is byte 0, token 255 is byte 255.
    pub fn bytes() -> Self {
        let [tokenizer, config] = [byte_tokenizer_json(), byte_tokenizer_config_json()].map(String::into_bytes);
        let files = TokenizerFiles { tokenizer, config: Some(config), chat_template: None };
        Tokenizer { files, library: None, special_tokens: BTreeMap::new(), chat_template: None }
    }

    /// The tokenizer of a model with that vocabulary size.
    ///
    /// # Errors
    /// [`Error::Data`] if a file is malformed, or has token ids outside the model's vocabulary.
    pub fn from_files(files: TokenizerFiles, vocab_size: u32) -> Result<Self> {
        if files.tokenizer == byte_tokenizer_json().as_bytes() && vocab_size >= BYTES {
            return Tokenizer { files, ..Self::bytes() }.configured();
        }
        let broken = |problem: String| Error::Data(format!("tokenizer.json {problem}"));
        let validate: Outline =
            serde_json::from_slice(&files.tokenizer).map_err(|e| broken(format!("is broken or of an unknown kind ({e})")))?;
        validate.check(vocab_size).map_err(broken)?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(&files.tokenizer);
        let tokenizer = tokenizer.map_err(|e| broken(format!("is broken or of an unknown kind ({e})")))?;
        let library = Some(Library::new(tokenizer, vocab_size)?);
        Tokenizer { files, library, special_tokens: BTreeMap::new(), chat_template: None }.configured()
    }

    /// Applies `tokenizer_config.json` and `chat_template.jinja`.
    fn configured(mut self) -> Result<Self> {
        let broken = |problem: String| Error::Data(format!("tokenizer_config.json {problem}"));
        let config: Value = match &self.files.config {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|e| broken(format!("is broken ({e})")))?,
            None => Value::Null,
        };
        for (name, token) in config.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_token")) {
            if let Some(text) = token.as_str().or_else(|| token.get("content")?.as_str()) {
                self.special_tokens.insert(name.clone(), text.to_owned());
            }
        }
        self.chat_template = match (&self.files.chat_template, config.get("chat_template")) {
            (Some(bytes), _) => {
                let text = String::from_utf8(bytes.clone());
                Some(text.map_err(|_| Error::Data("chat_template.jinja is no UTF-8 text".to_owned()))?)
            }
            (None, None | Some(Value::Null)) => None,
            (None, Some(template)) => Some(chosen_template(template).ok_or_else(|| {
                broken("has a chat_template that is neither a text nor a list of named texts with one named default".to_owned())
            })?),
        };
        Ok(self)
    }

    /// Is it the byte vocabulary?
    pub fn is_bytes(&self) -> bool {
        self.library.is_none()
    }

    /// One more than the largest token id that encoding can yield.
    pub fn vocab_size(&self) -> u32 {
        let Some(library) = &self.library else { return BYTES };
        library.tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id + 1)
    }

    /// The files to save with a model.
    pub fn files(&self) -> &TokenizerFiles {
        &self.files
    }

    /// Special tokens by their names in `tokenizer_config.json`, such as `bos_token`.
    pub fn special_tokens(&self) -> &BTreeMap<String, String> {
        &self.special_tokens
    }

    /// The chat template of its files, if there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// The end-of-text token, if there is one.
    pub fn end_of_text(&self) -> Option<u32> {
        self.library.as_ref()?.tokenizer.token_to_id(self.special_tokens.get("eos_token")?)
    }

    /// Encodes a text without surrounding special tokens. Special tokens that are written in the text are recognised.
    ///
    /// # Errors
    /// [`Error::Data`] if the tokenizer cannot encode the text, or a token id is outside the model's vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let Some(library) = &self.library else { return Ok(text.bytes().map(u32::from).collect()) };
        let mut ids = Vec::new();
        for piece in pieces(text) {
            let encoding = library.tokenizer.encode_fast(piece, false).map_err(cannot_encode)?;
            ids.extend_from_slice(library.known(&encoding)?);
        }
        Ok(ids)
    }

    /// Encodes a text with the special tokens that the tokenizer adds around it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        let ids = self.encode(text)?;
        let Some(Library { around: [before, behind], .. }) = &self.library else { return Ok(ids) };
        Ok([before, &ids, behind].into_iter().flatten().copied().collect())
    }

    /// Encodes a text without surrounding special tokens, and returns each token id with its range of bytes in the text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_places(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        let Some(library) = &self.library else { return Ok(text.bytes().enumerate().map(|(i, b)| (b.into(), i..i + 1)).collect()) };
        let (mut tokens, mut start) = (Vec::new(), 0);
        for piece in pieces(text) {
            let encoding = library.tokenizer.encode(piece, false).map_err(cannot_encode)?;
            let places = encoding.get_offsets().iter().map(|&(from, to)| start + from..start + to);
            tokens.extend(library.known(&encoding)?.iter().copied().zip(places));
            start += piece.len();
        }
        Ok(tokens)
    }

    /// Decodes token ids.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = self.decoder();
        let mut text: String = ids.iter().map(|&id| decoder.push(id)).collect();
        text.push_str(&decoder.finish());
        text
    }

    /// An incremental decoder.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder::new(match &self.library {
            None => decoder::Vocabulary::Bytes,
            Some(library) => decoder::Vocabulary::Library(&library.tokenizer),
        })
    }
}

impl Library {
    fn new(mut tokenizer: tokenizers::Tokenizer, vocab_size: u32) -> Result<Self> {
        // Disable truncation, padding and dropout, and the post-processor, whose special tokens would shift the ranges.
        let around = tokenizer.get_post_processor().cloned();
        tokenizer.with_truncation(None).map_err(cannot_encode)?;
        tokenizer.with_padding(None).with_post_processor(None::<PostProcessorWrapper>);
        if let ModelWrapper::BPE(model) = tokenizer.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            tokenizer.with_model(model);
        }
        let mut library = Library { tokenizer, vocab_size, around: Default::default() };
        if let Some(around) = around {
            let process = |text| around.process(text, None, true).map_err(cannot_encode);
            let encoding = process(Encoding::default())?;
            // Some vocabularies lack this letter. Then all special tokens count as before the text.
            let with_text = process(library.tokenizer.encode("a", false).unwrap_or_default())?;
            let before = with_text.get_special_tokens_mask().iter().take_while(|&&is_special| is_special == 1).count();
            let (before, behind) = library.known(&encoding)?.split_at(before.min(encoding.len()));
            library.around = [before.to_vec(), behind.to_vec()];
        }
        Ok(library)
    }

    /// The token ids, if all are within the model's vocabulary.
    fn known<'e>(&self, encoding: &'e Encoding) -> Result<&'e [u32]> {
        let ids = encoding.get_ids();
        match ids.iter().find(|&&id| id >= self.vocab_size) {
            Some(&id) => Err(Error::Data(format!(
                "the text has the token {} of the id {id}, and the model knows 0 to {}",
                self.tokenizer.id_to_token(id).unwrap_or_default(),
                self.vocab_size - 1
            ))),
            None => Ok(ids),
        }
    }
}

fn cannot_encode(error: impl std::fmt::Display) -> Error {
    Error::Data(format!("the tokenizer cannot encode the text ({error}); take another tokenizer, or bytes"))
}

/// The text of a `chat_template`, or of the entry named `default` in a list.
fn chosen_template(template: &Value) -> Option<String> {
    let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some("default");
    let text = match template {
        Value::Array(list) => list.iter().find(named)?.get("template")?,
        text => text,
    };
    text.as_str().map(str::to_owned)
}

/// Splits a text into pieces where no pre-tokenizer merges across: between lines without spaces at the boundary, and in lines longer than a
/// piece, before a space between words.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at(cut(rest));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The end of the first piece of a text, in bytes.
fn cut(text: &str) -> usize {
    if text.len() <= 2 * PIECE_BYTES {
        return text.len();
    }
    let touches = |before: &str, behind: &str| before.ends_with(char::is_whitespace) || behind.starts_with(char::is_whitespace);
    let places = || (PIECE_BYTES..2 * PIECE_BYTES).filter(|&at| text.is_char_boundary(at));
    let line_end = places().find(|&at| text[..at].ends_with('\n') && !touches(&text[..at - 1], &text[at..]));
    let word_end = || places().find(|&at| text[at..].starts_with(' ') && !touches(&text[..at], &text[at + 1..]));
    line_end.or_else(word_end).unwrap_or_else(|| places().next_back().expect("a character has four bytes at most"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ModelType;
    use crate::text::train_vocabulary;

    fn from_json(tokenizer: &Value, config: Value, vocab_size: u32) -> Result<Tokenizer> {
        let [tokenizer, config] = [tokenizer, &config].map(|value| serde_json::to_vec(value).unwrap());
        Tokenizer::from_files(TokenizerFiles { tokenizer, config: Some(config), chat_template: None }, vocab_size)
    }

    fn word_piece() -> Value {
        let vocab = json!({ "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "hello": 3, "wor": 4, "##ld": 5, "!": 6, "a": 7 });
        json!({
            "version": "1.0",
            "added_tokens": [{ "id": 1, "content": "[CLS]", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false }],
            "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1] },
            "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
            "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab },
        })
    }

    /// A tokenizer as SentencePiece makes them, with byte fallback.
    fn unigram() -> Value {
        let mut vocab = vec![json!(["<unk>", 0.0]), json!(["<s>", 0.0]), json!(["</s>", 0.0])];
        vocab.extend((0..=255).map(|byte| json!([format!("<0x{byte:02X}>"), -20.0])));
        vocab.extend([json!(["▁hello", -1.0]), json!(["▁world", -1.5]), json!(["▁", -3.0])]);
        json!({
            "version": "1.0",
            "normalizer": { "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": "▁" }, { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }] },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
                "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
                "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } },
            },
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" },
                { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
            ] },
            "model": { "type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": vocab },
        })
    }

    fn byte_pairs() -> Tokenizer {
        let text = include_str!("tokenizer.rs");
        train_vocabulary([text].into_iter(), 400, ModelType::Qwen3).unwrap()
    }

    fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut decoder = tokenizer.decoder();
        let mut texts: Vec<String> = ids.iter().map(|&id| decoder.push(id)).collect();
        texts.push(decoder.finish());
        texts
    }

    #[test]
    fn bytes_are_their_own_numbers() {
        let bytes = Tokenizer::bytes();
        assert_eq!(bytes.encode_with_special_tokens("aé").unwrap(), [97, 0xc3, 0xa9]);
        assert_eq!((bytes.vocab_size(), bytes.decode(&[97, 0xc3, 0xa9])), (256, "aé".to_owned()));
        let read = Tokenizer::from_files(bytes.files().clone(), 256).unwrap();
        assert!(read.is_bytes());
        // In another notation it is an ordinary tokenizer with the same token ids.
        let written: Value = serde_json::from_slice(&bytes.files().tokenizer).unwrap();
        let other = from_json(&written, Value::Null, 300).unwrap();
        let text = "fn main() {\n\t\"naïve 😀\"\n}  \r\n";
        assert!(!other.is_bytes());
        assert_eq!(other.encode(text).unwrap(), bytes.encode(text).unwrap());
        assert_eq!(other.decode(&bytes.encode(text).unwrap()), text);
    }

    #[test]
    fn the_kinds_of_the_library_load() {
        let word_piece = from_json(&word_piece(), json!({ "cls_token": "[CLS]" }), 8).unwrap();
        assert_eq!(word_piece.encode("Hello world!").unwrap(), [3, 4, 5, 6]);
        assert_eq!(word_piece.encode_with_special_tokens("Hello").unwrap(), [1, 3, 2]);
        assert_eq!(word_piece.decode(&[3, 4, 5, 6]), "hello world!");
        assert_eq!(word_piece.special_tokens()["cls_token"], "[CLS]");

        let config = json!({ "bos_token": { "content": "<s>", "special": true }, "eos_token": "</s>", "pad_token": null });
        let unigram = from_json(&unigram(), config, 262).unwrap();
        assert_eq!((unigram.encode_with_special_tokens("hello world").unwrap(), unigram.vocab_size()), (vec![1, 259, 260], 262));
        assert_eq!(unigram.special_tokens()["bos_token"], "<s>");
        assert_eq!((unigram.end_of_text(), unigram.special_tokens().len()), (Some(2), 2));
        let ids = unigram.encode("hello é€").unwrap();
        assert_eq!(ids, [259, 261, 3 + 0xc3, 3 + 0xa9, 3 + 0xe2, 3 + 0x82, 3 + 0xac]);
        assert_eq!(streamed(&unigram, &ids), ["hello", " ", "", "é", "", "", "€", ""]);
    }

    #[test]
    fn a_vocabulary_of_pairs_gives_back_what_it_is_given() {
        let tokenizer = byte_pairs();
        let text = "pub fn encode(text: &str) -> 😀 naïve\n\n\t값 <|im_start|>user\n<|im_end|>";
        let ids = tokenizer.encode(text).unwrap();
        assert!(ids.len() < text.len() && ids.iter().all(|&id| id < 400));
        assert_eq!(tokenizer.decode(&ids), text);
        assert_eq!(streamed(&tokenizer, &ids).concat(), text);
        assert!(streamed(&tokenizer, &ids).iter().all(|part| !part.contains('\u{fffd}')));
        assert_eq!(ids.iter().filter(|&&id| id < 2).count(), 2, "special tokens are found");
        let places = tokenizer.encode_with_places(text).unwrap();
        assert!(places.iter().map(|(id, _)| *id).eq(ids.iter().copied()));
        let last = &places.last().unwrap().1;
        assert_eq!(&text[last.clone()], "<|im_end|>");
    }

    /// Splitting must not change the tokens.
    #[test]
    fn a_long_text_is_encoded_in_pieces_to_the_same_tokens() {
        let tokenizer = byte_pairs();
        let Some(library) = &tokenizer.library else { panic!("it is none of bytes") };
        let code = include_str!("tokenizer.rs").repeat(10);
        let lines = "word 값싼 \u{3000} \n \n\n  wörter,\n!\n".repeat(6000);
        let one_line = "no line  ends here 😀 ".repeat(12_000);
        let no_space = "😀값".repeat(40_000);
        for text in [code, lines, one_line, no_space] {
            assert!(pieces(&text).count() > 2 && pieces(&text).collect::<String>() == text);
            let whole = library.tokenizer.encode(text.as_str(), false).unwrap();
            let places: Vec<(u32, Range<usize>)> =
                whole.get_ids().iter().copied().zip(whole.get_offsets().iter().map(|&(from, to)| from..to)).collect();
            if text.contains(' ') {
                assert!(tokenizer.encode_with_places(&text).unwrap() == places);
            }
            assert!(tokenizer.decode(&tokenizer.encode(&text).unwrap()) == text);
        }
    }

    #[test]
    fn a_hostile_file_is_refused_in_a_sentence() {
        let said = |file: Vec<u8>, vocab_size| {
            let files = TokenizerFiles { tokenizer: file, config: None, chat_template: None };
            let Err(error) = Tokenizer::from_files(files, vocab_size) else { panic!("it was read") };
            error.to_string()
        };
        let good = serde_json::to_vec(&unigram()).unwrap();
        for len in [0, 1, 10, good.len() / 2, good.len() - 1] {
            assert!(said(good[..len].to_vec(), 300).contains("tokenizer.json is broken"));
        }
        assert!(said(good, 261).contains("id 261, and the model knows 0 to 260"));
        let changed = |of: &Value, path: &str, value: Value| {
            let mut changed = of.clone();
            *changed.pointer_mut(path).unwrap() = value;
            serde_json::to_vec(&changed).unwrap()
        };
        let (pieces, words) = (unigram(), word_piece());
        let pairs: Value = serde_json::from_slice(&byte_pairs().files.tokenizer).unwrap();
        let deep = format!("{{\"decoder\":{}1{}}}", "[".repeat(5000), "]".repeat(5000)).into_bytes();
        let deep_type = (0..3000).fold(String::from("null"), |inner, _| format!("{{\"type\":\"Sequence\",\"decoders\":[{inner}]}}"));
        for (file, expected) in [
            (b"[]".to_vec(), "broken"),
            (b"{}".to_vec(), "model"),
            (deep, "recursion"),
            (format!("{{\"decoder\":{deep_type}}}").into_bytes(), "recursion"),
            (changed(&words, "/model/vocab", json!({ "[UNK]": 4_294_967_295u32 })), "id 4294967295"),
            (changed(&words, "/model/vocab", json!({ "[UNK]": -1 })), "broken"),
            (changed(&words, "/model/vocab", json!({ "[UNK]": 1e300 })), "broken"),
            (changed(&words, "/model/vocab", json!("all")), "broken"),
            (changed(&words, "/model/vocab", json!({})), "empty"),
            (changed(&words, "/model", json!({ "type": "Oracle", "vocab": { "a": 0 } })), "broken"),
            (changed(&words, "/pre_tokenizer", json!({ "type": "FixedLength", "length": 0 })), "length 0"),
            (
                changed(
                    &words,
                    "/post_processor",
                    json!({ "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 4_000_000_000u32] }),
                ),
                "id 4000000000",
            ),
            (changed(&pieces, "/model/vocab", json!([])), "empty"),
            (changed(&pieces, "/model/unk_id", json!(5000)), "broken"),
            (changed(&pieces, "/post_processor/special_tokens", json!({})), "token <s>"),
            (changed(&pieces, "/post_processor/single/1/Sequence/id", json!("B")), "two texts"),
            (changed(&pieces, "/decoder/decoders/3/stop", json!(9)), "strips"),
            (changed(&pieces, "/normalizer/normalizers/1/pattern", json!({ "Regex": "(" })), "broken"),
            (changed(&pairs, "/model/continuing_subword_prefix", json!("é")), "prefix"),
            (changed(&pairs, "/model/merges", json!([["no", "pair"]])), "broken"),
        ] {
            let said = said(file, 500);
            assert!(said.contains("tokenizer.json") || said.contains("the model knows"), "{said}");
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn a_token_that_the_model_does_not_know_is_an_error_when_it_comes() {
        let mut file = word_piece();
        let token = json!({ "id": 8, "content": "<image>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false });
        file["added_tokens"].as_array_mut().unwrap().push(token);
        let tokenizer = from_json(&file, Value::Null, 8).unwrap();
        assert_eq!(tokenizer.encode("hello").unwrap(), [3]);
        let said = tokenizer.encode("hello <image>").unwrap_err().to_string();
        assert!(said.contains("<image> of the id 8, and the model knows 0 to 7"), "{said}");
    }

    #[test]
    fn what_lies_beside_the_tokenizer_is_read_with_care() {
        let files = |config: &str, template: Option<&[u8]>| TokenizerFiles {
            tokenizer: serde_json::to_vec(&word_piece()).unwrap(),
            config: Some(config.as_bytes().to_vec()),
            chat_template: template.map(<[u8]>::to_vec),
        };
        let template =
            |config: &str, file: Option<&[u8]>| Tokenizer::from_files(files(config, file), 8).map(|t| t.chat_template().map(str::to_owned));
        assert_eq!(template("{}", None).unwrap(), None);
        assert_eq!(template(r#"{"chat_template": "a"}"#, None).unwrap().unwrap(), "a");
        assert_eq!(template(r#"{"chat_template": "a"}"#, Some(b"b")).unwrap().unwrap(), "b");
        let named = r#"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        assert_eq!(template(named, None).unwrap().unwrap(), "d");
        for (config, file) in
            [("{", None), (r#"{"chat_template": 1}"#, None), (r#"{"chat_template": []}"#, None), ("{}", Some(&b"\xff"[..]))]
        {
            assert!(template(config, file).is_err(), "{config}");
        }
    }
}
