//! Any text as rows of conversations and texts, whatever its file is called.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::model::ModelType;
use streambp::text::{ChatTemplate, Content, Tokenizer};

fuzz_target!(|text: &str| {
    let tokenizer = Tokenizer::bytes();
    let template = ChatTemplate::of(&tokenizer, ModelType::Qwen3).expect("the family has a template");
    for file in ["rows.jsonl", "rows.json", "rows"] {
        let Ok(Content::Rows(rows)) = Content::of(file, text) else { continue };
        if let Ok(documents) = rows.documents(&tokenizer, &template, 0) {
            assert!(documents.iter().all(|document| document.ids.len() == document.assistant_mask.len()));
        }
    }
});
