//! Tokenizers, templates and rows for the tests of this module.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ChatTemplate, Document, Rows, Tokenizer, TokenizerFiles, train_vocabulary};
use crate::error::Result;
use crate::model::ModelType;

pub const TALK: &str = r#"{"messages": [{"role": "user", "content": "Sun or rain? 😀"}, {"role": "assistant", "content": "Sun 😀\n"}, {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]}, {"role": "assistant", "content": "Rain."}]}"#;

/// ChatML as in most models: without `{% generation %}`.
pub const PLAIN: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
/// A template that leaves out the thinking of all but the last reply.
pub const FORGETFUL: &str = "{% for m in messages %}{{ '<' + m.role + '>' + (m.content if loop.last else m.content.split('</think>')[-1]) + ';' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

pub fn word_piece() -> Value {
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
pub fn unigram() -> Value {
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

pub fn byte_pairs() -> Tokenizer {
    let text = include_str!("tokenizer.rs");
    train_vocabulary([text].into_iter(), 400, ModelType::Qwen3).unwrap()
}

pub fn from_json(tokenizer: &Value, config: Value, vocab_size: u32) -> Result<Tokenizer> {
    let config = bytes(&config).filter(|_| !config.is_null());
    let files = TokenizerFiles { tokenizer: serde_json::to_vec(tokenizer).unwrap(), config, ..TokenizerFiles::default() };
    Tokenizer::from_files(files, vocab_size)
}

pub fn with_files(files: TokenizerFiles) -> Result<Tokenizer> {
    Tokenizer::from_files(TokenizerFiles { tokenizer: serde_json::to_vec(&word_piece()).unwrap(), ..files }, 12)
}

pub fn bytes(json: &Value) -> Option<Vec<u8>> {
    serde_json::to_vec(json).ok()
}

pub fn rows(text: &str) -> Rows {
    Rows::read("talks.jsonl", text).unwrap()
}

pub fn template(text: &str) -> ChatTemplate {
    ChatTemplate::new(text, BTreeMap::new()).unwrap()
}

/// The text of each consecutive range of tokens that is trained on.
pub fn learned(tokenizer: &Tokenizer, document: &Document) -> Vec<String> {
    let tokens: Vec<(u32, bool)> = document.ids.iter().copied().zip(document.assistant_mask.iter().copied()).collect();
    let runs = tokens.chunk_by(|a, b| a.1 == b.1).filter(|run| run[0].1);
    runs.map(|run| tokenizer.decode(&run.iter().map(|(id, _)| *id).collect::<Vec<u32>>())).collect()
}
