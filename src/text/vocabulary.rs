//! Training of a BPE vocabulary.

use serde_json::json;
use tokenizers::AddedToken;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::built_in::BuiltIn;
use super::pieces::pieces;
use super::tokenizer::Tokenizer;
use super::tokenizer_files::TokenizerFiles;
use crate::error::{Error, Result};
use crate::model::ModelType;
use crate::model::tokenizer::pretty;

/// Trains a byte-level BPE vocabulary of `size` tokens: the 256 bytes, the special tokens of the family's chat template, and the most
/// frequent pairs. The result is deterministic. Its files, including the chat template, are those of `transformers`.
///
/// # Errors
/// [`Error::Setting`] if the size has no room for a pair, [`Error::Data`] if the texts have too few different pairs.
pub fn train_vocabulary<'a>(texts: impl Iterator<Item = &'a str> + Send, size: u32, model_type: ModelType) -> Result<Tokenizer> {
    let family = BuiltIn::of_family(model_type);
    let least = 256 + family.markers.len() as u32 + 1;
    if size < least {
        return Err(Error::Setting(format!(
            "a vocabulary of {size} tokens has no room: take {least} or more (256 bytes, {} special tokens and a pair)",
            family.markers.len()
        )));
    }
    // A page has no threads.
    #[cfg(target_arch = "wasm32")]
    tokenizers::utils::parallelism::set_parallelism(false);
    let byte_level = ByteLevel::new(false, true, true);
    let special_tokens: Vec<AddedToken> = family.markers.iter().map(|&token| AddedToken::from(token, true)).collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(size as usize)
        .show_progress(false)
        .special_tokens(special_tokens)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect());
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
    let failed = |e: tokenizers::Error| Error::Data(format!("no vocabulary can be learned from the text ({e})"));
    tokenizer.train(&mut TrainerWrapper::from(trainer.build()), texts.flat_map(pieces)).map_err(failed)?;
    let found = tokenizer.get_vocab_size(true);
    if found < size as usize {
        return Err(Error::Data(format!("the text has pairs for {found} tokens only; take a longer text, or a vocabulary of {found}")));
    }
    let files = TokenizerFiles {
        tokenizer: tokenizer.to_string(true).map_err(failed)?.into_bytes(),
        config: Some(config(family).into_bytes()),
        ..TokenizerFiles::default()
    };
    Tokenizer::from_files(files, size)
}

/// The text of `tokenizer_config.json`.
fn config(family: &BuiltIn) -> String {
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
        "eos_token": family.end,
        "chat_template": family.template,
    });
    if let Some(start) = family.start {
        config["bos_token"] = json!(start);
    }
    pretty(&config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FAMILIES;

    const TEXT: &str = include_str!("vocabulary.rs");

    fn trained(text: &str, size: u32, model_type: ModelType) -> Result<Tokenizer> {
        train_vocabulary([text].into_iter(), size, model_type)
    }

    #[test]
    fn the_same_text_gives_the_same_vocabulary_of_the_size_asked_for() {
        for family in FAMILIES {
            let first = trained(TEXT, 420, family.model_type).unwrap();
            assert_eq!(first.vocab_size(), 420);
            assert!((0..3).all(|_| trained(TEXT, 420, family.model_type).unwrap().files() == first.files()));
            let read = Tokenizer::from_files(first.files().clone(), 420).unwrap();
            assert_eq!(read.encode(TEXT).unwrap(), first.encode(TEXT).unwrap());
            assert!(first.encode(TEXT).unwrap().len() * 2 < TEXT.len());
            let [end] = first.encode(BuiltIn::of_family(family.model_type).end).unwrap()[..] else { panic!("one token ends a reply") };
            assert_eq!(first.end_of_text(), Some(end));
        }
    }

    #[test]
    fn what_is_too_small_or_too_short_is_said() {
        let said = |text, size| trained(text, size, ModelType::Qwen3).err().unwrap().to_string();
        assert!(said(TEXT, 258).contains("259 or more"));
        assert!(trained(TEXT, 259, ModelType::Qwen3).is_ok());
        assert!(
            said("abab", 400).contains("for 261 tokens only") || said("abab", 400).contains("for 260 tokens only"),
            "{}",
            said("abab", 400)
        );
        assert!(said("", 300).contains("258"));
    }
}
