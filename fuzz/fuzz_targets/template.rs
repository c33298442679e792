//! Any text as a chat template: it writes a conversation, or gives up in good time.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use streambp::text::{ChatTemplate, Conversation, Message, Tokenizer};

fuzz_target!(|text: &str| {
    let tokens = [("bos_token".to_owned(), "<s>".to_owned()), ("eos_token".to_owned(), "</s>".to_owned())];
    let Ok(template) = ChatTemplate::new(text, BTreeMap::from(tokens)) else { return };
    let conversation = Conversation::new(vec![Message::new("user", "2 + 2"), Message::new("assistant", "4")]);
    if let Ok(documents) = template.documents(&Tokenizer::bytes(), &conversation, 0) {
        assert!(documents.iter().all(|document| document.ids.len() == document.assistant_mask.len()));
    }
});
