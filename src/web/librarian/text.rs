//! Texts as token ids, for the trainer, and token ids as texts.

use std::rc::Rc;

use super::folder::Folder;
use super::{Librarian, Model};
use crate::error::{Error, Result};
use crate::model::{Config, Files, read_whole};
use crate::text::{ChatTemplate, Rows, Tokenizer, TokenizerFiles, train_vocabulary};
use crate::web::library::{Encoded, Vocabulary};

/// The files of a tokenizer, the first of which has to be there.
pub const FILES: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];
/// More than any of them has.
const MAX_BYTES: u64 = 256 << 20;

/// A text, and how it becomes tokens.
pub struct Text<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub vocabulary: Vocabulary,
    pub config: &'a Config,
    pub written: u64,
}

impl Librarian {
    /// Encodes a text, and keeps its tokenizer at hand.
    pub async fn encode(&self, text: &Text<'_>, model: Option<&Model>) -> Result<Encoded> {
        let rows = if text.name.to_ascii_lowercase().ends_with(".jsonl") { Some(Rows::read(text.name, text.text)?) } else { None };
        let tokenizer = Rc::new(match (text.vocabulary, model) {
            (Vocabulary::Bytes, _) => Tokenizer::bytes(),
            (Vocabulary::Model, Some(model)) => of_model(model.stored.files(), text.config).await?,
            (Vocabulary::Model, None) => {
                return Err(Error::Data("no model is open that has a tokenizer; open one, or take bytes".to_owned()));
            }
            (Vocabulary::Learned, _) => match &rows {
                Some(rows) => train_vocabulary(rows.texts(), text.config.vocab_size, text.config.model_type)?,
                None => train_vocabulary([text.text].into_iter(), text.config.vocab_size, text.config.model_type)?,
            },
        });
        let encoded = match rows {
            None => Encoded::Stream(tokenizer.encode(text.text)?),
            Some(rows) => {
                let template = ChatTemplate::of(&tokenizer, text.config.model_type)?;
                let documents = rows.documents(&tokenizer, &template, text.written)?;
                Encoded::Documents(documents.into_iter().map(|document| (document.ids, document.assistant_mask)).collect())
            }
        };
        *self.tokenizer.borrow_mut() = Some(tokenizer);
        Ok(encoded)
    }

    /// The files of the tokenizer to be saved with a model, if it is not that of bytes.
    pub fn tokenizer_files(&self) -> Option<Vec<(&'static str, Vec<u8>)>> {
        let tokenizer = self.tokenizer.borrow().clone().filter(|tokenizer| !tokenizer.is_bytes())?;
        Some(tokenizer.files().named().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect())
    }

    /// The tokenizer of the text that was encoded last.
    pub fn tokenizer(&self) -> Result<Rc<Tokenizer>> {
        let gone = || Error::Data("the tokenizer is not at hand any more; reset the run, and start it again".to_owned());
        self.tokenizer.borrow().clone().ok_or_else(gone)
    }
}

async fn of_model(folder: &Folder, config: &Config) -> Result<Tokenizer> {
    let mut files = Vec::new();
    for name in FILES {
        files.push(match folder.size(name).await? {
            Some(_) => Some(read_whole(folder, name, MAX_BYTES).await?),
            None => None,
        });
    }
    let [tokenizer, config_json, chat_template] = <[_; 3]>::try_from(files).expect("three files were read");
    let missing = || Error::Data("the model has no tokenizer.json; take bytes".to_owned());
    Tokenizer::from_files(
        TokenizerFiles { tokenizer: tokenizer.ok_or_else(missing)?, config: config_json, chat_template },
        config.vocab_size,
    )
}

/// What each token adds to a text.
pub fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut decoder = tokenizer.decoder();
    let mut pieces: Vec<String> = ids.iter().map(|&id| decoder.push(id)).collect();
    let rest = decoder.finish();
    pieces.last_mut().iter_mut().for_each(|last| last.push_str(&rest));
    pieces
}
