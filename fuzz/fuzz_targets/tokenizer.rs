//! Any bytes as a `tokenizer.json`: what is accepted knows no more tokens than the model, and can encode and decode.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streambp::text::{Tokenizer, TokenizerFiles};

const TEXT: &str = "fn main() { \"naïve\" } 한국어 🙂\n";

fuzz_target!(|bytes: &[u8]| {
    let files = TokenizerFiles { tokenizer: bytes.to_vec(), ..TokenizerFiles::default() };
    let Ok(tokenizer) = Tokenizer::from_files(files, 1000) else { return };
    let Ok(ids) = tokenizer.encode(TEXT) else { return };
    assert!(ids.iter().all(|&id| id < 1000));
    tokenizer.decode(&ids);
});
