//! Any bytes as one of the files beside a `tokenizer.json`: what is accepted knows no more tokens than the model, and can encode and decode.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::model::tokenizer::byte_tokenizer_json;
use streambp::text::{Tokenizer, TokenizerFiles};

const TEXT: &str = "fn main() { \"naïve\" } <s> 한국어 🙂</s>\n";

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    // The byte vocabulary to the letter would need no other file.
    let tokenizer = format!("{} ", byte_tokenizer_json()).into_bytes();
    let (mut files, file) = (TokenizerFiles { tokenizer, ..TokenizerFiles::default() }, Some(bytes.to_vec()));
    match which % 5 {
        0 => files.config = file,
        1 => files.special_tokens_map = file,
        2 => files.added_tokens = file,
        3 => files.generation_config = file,
        _ => files.model_config = file,
    }
    let Ok(tokenizer) = Tokenizer::from_files(files, 1000) else { return };
    let Ok(ids) = tokenizer.encode(TEXT) else { return };
    assert!(ids.iter().all(|&id| id < 1000));
    tokenizer.decode(&ids);
});
