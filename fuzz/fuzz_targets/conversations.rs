//! Any text as JSON lines of conversations and texts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::model::ModelType;
use streambp::text::{ChatTemplate, Rows, Tokenizer};

fuzz_target!(|text: &str| {
    let tokenizer = Tokenizer::bytes();
    let template = ChatTemplate::of(&tokenizer, ModelType::Qwen3).expect("the family has a template");
    let Ok(rows) = Rows::read("rows.jsonl", text) else { return };
    if let Ok(documents) = rows.documents(&tokenizer, &template, 0) {
        assert!(documents.iter().all(|document| document.ids.len() == document.assistant_mask.len()));
    }
});
