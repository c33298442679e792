//! Texts as token ids, for the trainer, and token ids as texts.

use std::rc::Rc;

use super::opened::{Model, ModelWorker};
use crate::error::{Error, Result};
use crate::model::Config;
use crate::model::archive::TokenizerParts;
use crate::text::{Content, Document, EncodedPairs, EncodedRows, Tokenizer, TokenizerFiles, train_vocabulary, without_mark};
use crate::web::model_protocol::{Encoded, Vocabulary};

/// A text, and how it becomes tokens.
pub struct Text<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub vocabulary: Vocabulary,
    pub config: &'a Config,
    pub written: u64,
    /// Are its rows to be pairs of answers?
    pub has_pairs: bool,
}

impl ModelWorker {
    /// Encodes a text, and keeps its tokenizer at hand.
    pub async fn encode(&self, text: &Text<'_>, model: Option<&Model>) -> Result<Encoded> {
        let content = Content::of(text.name, text.text)?;
        let plain = without_mark(text.text);
        let tokenizer = match (text.vocabulary, model) {
            (Vocabulary::Bytes, _) => Tokenizer::bytes(),
            (Vocabulary::Model, Some(model)) => self.own_tokenizer(model, text.config).await?,
            (Vocabulary::Model, None) => {
                return Err(Error::Data("no model is open that has a tokenizer; open one, or take bytes".to_owned()));
            }
            (Vocabulary::Learned, _) => match &content {
                Content::Rows(rows) => train_vocabulary(rows.texts(), text.config.vocab_size, text.config.model_type)?,
                Content::Text(_) => train_vocabulary([plain].into_iter(), text.config.vocab_size, text.config.model_type)?,
            },
        };
        let (encoded, tokenizer) = match content {
            Content::Text(_) if text.has_pairs => {
                return Err(Error::Data(format!(
                    "{} has no rows; the objective dpo compares rows with \"chosen\" and \"rejected\", as JSON lines or a JSON array",
                    text.name
                )));
            }
            Content::Text(_) => (Encoded::Stream(tokenizer.encode(plain)?), tokenizer),
            Content::Rows(rows) if text.has_pairs => {
                let EncodedPairs { pairs, tokenizer, .. } = rows.encode_pairs(tokenizer, text.config.model_type, text.written)?;
                (Encoded::Pairs(pairs.into_iter().map(|pair| pair.map(parts)).collect()), tokenizer)
            }
            Content::Rows(rows) => {
                let EncodedRows { documents, tokenizer, .. } = rows.encode(tokenizer, text.config.model_type, text.written)?;
                (Encoded::Documents(documents.into_iter().map(parts).collect()), tokenizer)
            }
        };
        *self.tokenizer.borrow_mut() = Some(Rc::new(tokenizer));
        Ok(encoded)
    }

    /// The tokenizer to be saved with a model, if it is not that of bytes.
    pub fn tokenizer_parts(&self) -> Option<TokenizerParts> {
        let tokenizer = self.tokenizer.borrow().clone().filter(|tokenizer| !tokenizer.is_bytes())?;
        Some(tokenizer.parts())
    }

    /// The tokenizer of the adapters that are open, or else that of the model.
    async fn own_tokenizer(&self, model: &Model, config: &Config) -> Result<Tokenizer> {
        let name = TokenizerFiles::NAMES[0];
        let adapters = self.adapters.borrow().clone();
        let of_adapters = match &adapters {
            Some(adapters) => TokenizerFiles::load(adapters.stored.files(), name).await?,
            None => None,
        };
        let files = match of_adapters {
            Some(files) => Some(files.with_ids(model.stored.files()).await?),
            None => TokenizerFiles::load(model.stored.files(), name).await?,
        };
        let missing = || Error::Data("the model has no tokenizer.json; take bytes".to_owned());
        Tokenizer::from_files(files.ok_or_else(missing)?, config.vocab_size)
    }

    /// The tokenizer of the text that was encoded last.
    pub fn tokenizer(&self) -> Result<Rc<Tokenizer>> {
        let gone = || Error::Data("the tokenizer is not at hand any more; reset the run, and start it again".to_owned());
        self.tokenizer.borrow().clone().ok_or_else(gone)
    }
}

fn parts(document: Document) -> (Vec<u32>, Vec<bool>) {
    (document.ids, document.assistant_mask)
}

/// What each token adds to a text.
pub fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut decoder = tokenizer.decoder(&[]);
    let mut pieces: Vec<String> = ids.iter().map(|&id| decoder.push(id)).collect();
    let rest = decoder.finish();
    pieces.last_mut().iter_mut().for_each(|last| last.push_str(&rest));
    pieces
}
