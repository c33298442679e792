//! The byte vocabulary as files for the `tokenizers` library: token 0 is byte 0, token 255 is byte 255. And the names of tokenizers' files.

use serde_json::{Map, Value, json};

/// The files of a tokenizer, in whichever form.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const TOKENIZER_FILES: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "chat_template.jinja",
    "chat_template.json",
];

/// The `tokenizer.json` of the byte vocabulary: a token per byte, without merges.
pub fn byte_tokenizer_json() -> String {
    let vocabulary: Map<String, Value> = byte_characters().into_iter().zip(0..).map(|(c, id)| (c.to_string(), Value::from(id))).collect();
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    pretty(&json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": [],
        },
    }))
}

/// The matching `tokenizer_config.json`, by which `transformers` selects the class.
pub fn byte_tokenizer_config_json() -> String {
    // Cleaning up would drop spaces that the model generated.
    pretty(&json!({ "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false }))
}

/// The characters that stand for bytes, as in GPT-2: printable Latin-1 characters stand for themselves, the others start at U+0100.
pub(crate) fn byte_characters() -> Vec<char> {
    let mut others = '\u{100}'..;
    let printable = |c: char| matches!(c, '!'..='~' | '¡'..='¬' | '®'..='ÿ');
    let character = |byte: u8| if printable(byte.into()) { byte.into() } else { others.next().expect("Unicode is large enough") };
    (0..=u8::MAX).map(character).collect()
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_number_and_character() {
        let tokenizer: Value = serde_json::from_str(&byte_tokenizer_json()).unwrap();
        let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
        assert_eq!(vocabulary.len(), 256);
        let mut ids: Vec<u64> = vocabulary.values().map(|id| id.as_u64().unwrap()).collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..256));
        for (character, byte) in [("A", b'A'), ("Ġ", b' '), ("Ċ", b'\n'), ("Ā", 0), ("ġ", 0x7f), ("Ń", 0xad), ("ÿ", 0xff)] {
            assert_eq!(vocabulary[character], byte, "{character}");
        }
    }
}
