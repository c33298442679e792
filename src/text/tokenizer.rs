//! Tokenizers: the byte vocabulary, or a `tokenizer.json`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use tokenizers::{Encoding, ModelWrapper, PostProcessor, PostProcessorWrapper};

use super::decoder::{self, Decoder};
use super::pieces::{Cuts, around};
use super::special_tokens::{SpecialTokens, object};
use super::tokenizer_files::TokenizerFiles;
use super::validate::Outline;
use crate::error::{Error, Result};
use crate::model::SpecialTokenIds;
use crate::model::archive::TokenizerParts;
use crate::model::tokenizer::{byte_tokenizer_config_json, byte_tokenizer_json};

const BYTES: u32 = 256;

/// A tokenizer.
pub struct Tokenizer {
    files: TokenizerFiles,
    /// `None` is the byte vocabulary.
    library: Option<Library>,
    special_tokens: BTreeMap<String, String>,
    ids: SpecialTokenIds,
    chat_templates: ChatTemplates,
}

/// The chat templates of a tokenizer's files. Whether they can be used is known once one of them is.
#[derive(Clone, Debug, Default)]
pub(super) struct ChatTemplates {
    /// The templates by name: `default`, and perhaps `tool_use`.
    pub named: BTreeMap<String, String>,
    /// What is wrong with them, as an error message.
    pub problem: Option<String>,
}

struct Library {
    tokenizer: tokenizers::Tokenizer,
    /// The model's vocabulary size: one more than its largest token id.
    vocab_size: u32,
    /// The special tokens before and after a text.
    around: [Vec<u32>; 2],
    /// Where long texts may be cut.
    cuts: Cuts,
}

impl Tokenizer {
    /// The byte vocabulary: token 0 is byte 0, token 255 is byte 255.
    pub fn bytes() -> Self {
        let [tokenizer, config] = [byte_tokenizer_json(), byte_tokenizer_config_json()].map(String::into_bytes);
        let files = TokenizerFiles { tokenizer, config: Some(config), ..TokenizerFiles::default() };
        Self::of_bytes(files, SpecialTokenIds::default(), ChatTemplates::default())
    }

    fn of_bytes(files: TokenizerFiles, ids: SpecialTokenIds, chat_templates: ChatTemplates) -> Self {
        Tokenizer { files, library: None, special_tokens: BTreeMap::new(), ids, chat_templates }
    }

    /// The tokenizer of a model with that vocabulary size. Tokens that other files name and `tokenizer.json` lacks are added to it.
    ///
    /// # Errors
    /// [`Error::Data`] if a file is malformed, or has token ids outside the model's vocabulary.
    pub fn from_files(mut files: TokenizerFiles, vocab_size: u32) -> Result<Self> {
        let config = files.config.as_ref().map_or_else(|| Ok(Map::new()), |bytes| object("tokenizer_config.json", bytes))?;
        let chat_templates = ChatTemplates::of(files.chat_template.as_deref(), &config);
        if files.tokenizer == byte_tokenizer_json().as_bytes() && vocab_size >= BYTES {
            let ids = ids_of_model(&files)?;
            return Ok(Self::of_bytes(files, ids, chat_templates));
        }
        let broken = |problem: String| Error::Data(format!("tokenizer.json {problem}"));
        let validate: Outline =
            serde_json::from_slice(&files.tokenizer).map_err(|e| broken(format!("is broken or of an unknown kind ({e})")))?;
        validate.check(vocab_size).map_err(broken)?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(&files.tokenizer);
        let mut tokenizer = tokenizer.map_err(|e| broken(format!("is broken or of an unknown kind ({e})")))?;
        let tokens = SpecialTokens::read(&files, &config)?;
        if tokens.add_to(&mut tokenizer)? {
            files.tokenizer = tokenizer.to_string(true).map_err(|e| broken(format!("cannot be written ({e})")))?.into_bytes();
        }
        tokenizer.set_encode_special_tokens(tokens.are_split);
        let special_tokens = tokens.texts();
        let id = |name: &str| tokenizer.token_to_id(special_tokens.get(name)?);
        let own = SpecialTokenIds { bos: id("bos_token"), eos: id("eos_token").into_iter().collect(), pad: id("pad_token") };
        let ids = own.or(ids_of_model(&files)?);
        let library = Some(Library::new(tokenizer, vocab_size)?);
        Ok(Tokenizer { files, library, special_tokens, ids, chat_templates })
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

    /// What is saved with a model.
    pub fn parts(&self) -> TokenizerParts {
        (self.files.named().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect(), self.ids.clone())
    }

    /// Special tokens by their names in the files, such as `bos_token`.
    pub fn special_tokens(&self) -> &BTreeMap<String, String> {
        &self.special_tokens
    }

    /// The ids of the special tokens: the tokenizer's own, and those that the model's files name.
    pub fn special_token_ids(&self) -> &SpecialTokenIds {
        &self.ids
    }

    /// The id of a token that is written as that text.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.library.as_ref()?.tokenizer.token_to_id(text)
    }

    /// The chat template of its files, if there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_templates.named.get("default").map(String::as_str)
    }

    pub(super) fn chat_templates(&self) -> &ChatTemplates {
        &self.chat_templates
    }

    /// The tokenizer with a chat template for what it is saved with, and the token that ends its replies, if that is one.
    pub fn with_chat_template(mut self, template: &str, end_of_reply: &str) -> Self {
        if self.chat_template() != Some(template) {
            self.files.chat_template = Some(template.as_bytes().to_vec());
            self.chat_templates.named.insert("default".to_owned(), template.to_owned());
        }
        self.token_id(end_of_reply).into_iter().for_each(|id| self.ids.add_end(id));
        self
    }

    /// The token that ends a text: the `eos_token` of the tokenizer's files, if there is one. The ids in a `config.json`, often the defaults of
    /// its class, end only what is generated.
    pub fn end_of_text(&self) -> Option<u32> {
        self.token_id(self.special_tokens.get("eos_token")?)
    }

    /// Encodes a text without surrounding special tokens. Special tokens that are written in the text are recognised.
    ///
    /// # Errors
    /// [`Error::Data`] if the tokenizer cannot encode the text, or a token id is outside the model's vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let Some(library) = &self.library else { return Ok(text.bytes().map(u32::from).collect()) };
        let pieces = library.cuts.pieces(&library.tokenizer, text);
        if pieces.len() > 1 {
            return Ok(library.encode_pieces(text, &pieces)?.into_iter().map(|(id, _)| id).collect());
        }
        let encoding = library.tokenizer.encode_fast(text, false).map_err(cannot_encode)?;
        library.known(&encoding).map(<[u32]>::to_vec)
    }

    /// Encodes a text with the special tokens that the tokenizer adds around it, unless they are written in the text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        let ids = self.encode(text)?;
        let [before, behind] = self.around(text, &ids);
        Ok([before, &ids, behind].into_iter().flatten().copied().collect())
    }

    /// The special tokens that are to be added before and behind the ids of a text.
    pub(super) fn around(&self, text: &str, ids: &[u32]) -> [&[u32]; 2] {
        let Some(Library { around: [before, behind], tokenizer, .. }) = &self.library else { return [&[], &[]] };
        let written: String = behind.iter().filter_map(|&id| tokenizer.id_to_token(id)).collect();
        [
            if ids.starts_with(before) { &[] } else { before },
            if ids.ends_with(behind) || text.trim_end().ends_with(&written) { &[] } else { behind },
        ]
    }

    /// Does a text end with one of the tokens that end texts, white space apart?
    pub(super) fn is_ended(&self, text: &str) -> bool {
        let written = |&id: &u32| self.library.as_ref()?.tokenizer.id_to_token(id);
        self.ids.eos.iter().filter_map(written).any(|end| text.trim_end().ends_with(&end))
    }

    /// Encodes a text without surrounding special tokens, and returns each token id with its range of bytes in the text.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_places(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        let Some(library) = &self.library else { return Ok(text.bytes().enumerate().map(|(i, b)| (b.into(), i..i + 1)).collect()) };
        library.encode_pieces(text, &library.cuts.pieces(&library.tokenizer, text))
    }

    /// Decodes token ids.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = self.decoder(&[]);
        let mut text: String = ids.iter().map(|&id| decoder.push(id)).collect();
        text.push_str(&decoder.finish());
        text
    }

    /// An incremental decoder of what follows the token ids of a prompt.
    pub fn decoder(&self, prompt: &[u32]) -> Decoder<'_> {
        let vocabulary = match &self.library {
            None => decoder::Vocabulary::Bytes,
            Some(library) => decoder::Vocabulary::Library(&library.tokenizer),
        };
        Decoder::new(vocabulary, prompt)
    }
}

/// The ids of special tokens that the model's files name.
fn ids_of_model(files: &TokenizerFiles) -> Result<SpecialTokenIds> {
    let mut ids = SpecialTokenIds::default();
    for (name, file) in [("generation_config.json", &files.generation_config), ("config.json", &files.model_config)] {
        if let Some(bytes) = file {
            ids = ids.or(SpecialTokenIds::read(name, bytes)?);
        }
    }
    Ok(ids)
}

impl ChatTemplates {
    fn of(file: Option<&[u8]>, config: &Map<String, Value>) -> Self {
        let mut templates = ChatTemplates::default();
        let mut add = |name: &str, template: &str| templates.named.insert(name.to_owned(), template.to_owned());
        let is_understood = match (file.map(std::str::from_utf8), config.get("chat_template")) {
            (Some(Ok(text)), _) => add("default", text).is_none(),
            (Some(Err(_)), _) => {
                templates.problem = Some("chat_template.jinja is no UTF-8 text".to_owned());
                return templates;
            }
            (None, None | Some(Value::Null)) => true,
            (None, Some(Value::String(text))) => add("default", text).is_none(),
            (None, Some(Value::Object(named))) => named.iter().all(|(name, text)| text.as_str().map(|text| add(name, text)).is_some()),
            (None, Some(Value::Array(list))) => list.iter().all(|entry| {
                let field = |name: &str| entry.get(name).and_then(Value::as_str);
                field("name").zip(field("template")).map(|(name, text)| add(name, text)).is_some()
            }),
            (None, Some(_)) => false,
        };
        if !is_understood {
            templates.problem =
                Some("tokenizer_config.json has a chat_template that is neither a text nor a list of named texts".to_owned());
        }
        templates
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
        let mut library = Library { cuts: Cuts::of(&tokenizer), tokenizer, vocab_size, around: Default::default() };
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

    /// The token ids of a text with their ranges of bytes, piece by piece.
    fn encode_pieces(&self, text: &str, pieces: &[Range<usize>]) -> Result<Vec<(u32, Range<usize>)>> {
        let mut tokens = Vec::new();
        for piece in pieces {
            let wide = around(text, piece);
            let encoding = self.tokenizer.encode(&text[wide.clone()], false).map_err(cannot_encode)?;
            let places = encoding.get_offsets().iter().map(|&(from, to)| wide.start + from..wide.start + to);
            let all = self.known(&encoding)?.iter().copied().zip(places);
            tokens.extend(all.filter(|(_, place)| piece.contains(&place.start) || piece.end == text.len() && place.start == text.len()));
        }
        Ok(tokens)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::pieces::pieces;
    use crate::text::samples::{byte_pairs, from_json, unigram, word_piece};

    fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut decoder = tokenizer.decoder(&[]);
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
            let files = TokenizerFiles { tokenizer: file, ..TokenizerFiles::default() };
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

    /// A tokenizer as SentencePiece makes them takes a text for one word.
    #[test]
    fn a_long_text_of_one_word_has_the_tokens_of_the_library() {
        let mut merged = unigram();
        let more = [["▁the", "-2.0"], ["the", "-2.5"], ["e▁t", "-2.0"], ["e", "-4.0"], ["o", "-4.0"], ["r", "-4.0"]];
        let vocab = merged["model"]["vocab"].as_array_mut().unwrap();
        vocab.extend(more.map(|[token, score]| json!([token, score.parse::<f64>().unwrap()])));
        let with_bytes = from_json(&merged, Value::Null, 300).unwrap();
        merged["model"]["byte_fallback"] = json!(false);
        let without_bytes = from_json(&merged, Value::Null, 300).unwrap();
        let lines = "hello world the or\nthe  theor ".repeat(11_000);
        let one_line = "hello theworld or the the ".repeat(12_000);
        for (tokenizer, text, is_cut) in [
            (&with_bytes, &lines, true),
            (&with_bytes, &one_line, true),
            (&with_bytes, &"値the".repeat(50_000), true),
            (&without_bytes, &"値the".repeat(50_000), true),
            // Unknown characters next to each other are one token.
            (&without_bytes, &"値".repeat(100_000), false),
        ] {
            let Some(library) = &tokenizer.library else { panic!("it is none of bytes") };
            assert_eq!(library.cuts.pieces(&library.tokenizer, text).len() > 1, is_cut);
            let whole = library.tokenizer.encode(text.as_str(), false).unwrap();
            assert!(tokenizer.encode(text).unwrap() == whole.get_ids());
            assert!(tokenizer.encode_with_places(text).unwrap().iter().map(|(id, _)| *id).eq(whole.get_ids().iter().copied()));
        }
    }
}
