//! Options of tokenizers and text data.

use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Args;
use streambp::error::{Error, Result};
use streambp::model::{Config, ModelType, Preset};
use streambp::text::{ChatTemplate, Conversation, Message, Rows, Tokenizer, TokenizerFiles, train_vocabulary};
use streambp::train::Dataset;

/// The largest vocabulary of a model whose vocabulary is not chosen yet.
const MOST_TOKENS: u32 = 1 << 24;

/// Options of the tokenizer.
#[derive(Args)]
pub struct TextOptions {
    /// tokenizer.json, or `bytes` [default: the one in the directory of --model, otherwise bytes]
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<String>,
}

impl TextOptions {
    /// The tokenizer for a model with that vocabulary size.
    pub fn tokenizer(&self, model: &str, vocab_size: u32) -> Result<Tokenizer> {
        let files = match &self.tokenizer {
            Some(bytes) if bytes == "bytes" => None,
            Some(path) => {
                let missing = || Error::Setting(format!("there is no tokenizer {path}: give a tokenizer.json, or bytes"));
                Some(TokenizerFiles::read(Path::new(path))?.ok_or_else(missing)?)
            }
            // A bare config.json is an untrained model.
            None if Preset::named(model).is_some() || Path::new(model).is_file() => None,
            None => TokenizerFiles::read(&Path::new(model).join("tokenizer.json"))?,
        };
        files.map_or_else(|| Ok(Tokenizer::bytes()), |files| Tokenizer::from_files(files, vocab_size))
    }
}

/// Options of a text file for training.
#[derive(Args)]
pub struct DataOptions {
    #[command(flatten)]
    text: TextOptions,
    /// Train a BPE vocabulary of that size on the data first (for presets)
    #[arg(long, value_name = "SIZE", conflicts_with = "tokenizer")]
    train_tokenizer: Option<u32>,
}

impl DataOptions {
    /// The dataset of a file, and its tokenizer. A preset's vocabulary size is set to the tokenizer's.
    pub fn dataset(&self, data: &str, model: &str, config: &mut Config, seq_len: u32) -> Result<(Dataset, Tokenizer)> {
        let text = std::fs::read(data).map_err(|e| Error::io(data, e))?;
        let text = String::from_utf8(text).map_err(|_| Error::Data(format!("{data} is no UTF-8 text; give a text file")))?;
        if !Path::new(data).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl")) {
            let tokenizer = self.tokenizer(model, config, [text.as_str()].into_iter())?;
            let dataset = match tokenizer.is_bytes() {
                true => Dataset::text(text.into_bytes(), seq_len),
                false => Dataset::tokens(tokenizer.encode(&text)?, seq_len),
            };
            return Ok((dataset?, tokenizer));
        }
        let rows = Rows::read(data, &text)?;
        let tokenizer = self.tokenizer(model, config, rows.texts())?;
        let template = ChatTemplate::of(&tokenizer, config.model_type)?;
        // A template may write the date. It gets that of the data, so that a run that is resumed on another day sees the same text.
        let written = std::fs::metadata(data).and_then(|file| file.modified()).map_err(|e| Error::io(data, e))?;
        let documents = rows.documents(&tokenizer, &template, seconds(written))?;
        Ok((Dataset::documents(&documents, seq_len)?, tokenizer))
    }

    /// Refuses tokenizer options for generated data, which consists of bytes.
    ///
    /// # Errors
    /// [`Error::Setting`] if a tokenizer option was given.
    pub fn refuse(&self, data: &str) -> Result<()> {
        if self.text.tokenizer.is_some() || self.train_tokenizer.is_some() {
            return Err(Error::Setting(format!("{data} is made of bytes; leave out --tokenizer and --train-tokenizer, or give a file")));
        }
        Ok(())
    }

    fn tokenizer<'a>(&self, model: &str, config: &mut Config, texts: impl Iterator<Item = &'a str> + Send) -> Result<Tokenizer> {
        let is_preset = Preset::named(model).is_some();
        let tokenizer = match self.train_tokenizer {
            Some(_) if !is_preset => {
                return Err(Error::Setting(format!(
                    "{model} was trained with a vocabulary of its own; --train-tokenizer goes with a preset, whose weights are fresh"
                )));
            }
            Some(size) => train_vocabulary(texts, size, config.model_type)?,
            None => self.text.tokenizer(model, if is_preset { MOST_TOKENS } else { config.vocab_size })?,
        };
        if is_preset {
            config.vocab_size = tokenizer.vocab_size();
        }
        Ok(tokenizer)
    }
}

/// The rendered prompt of a question, and the stop sequence of the answer.
pub fn question(prompt: &str, tokenizer: &Tokenizer, model_type: ModelType) -> Result<(String, String)> {
    let template = ChatTemplate::of(tokenizer, model_type)?;
    let now = seconds(SystemTime::now());
    let conversation = Conversation::new(vec![Message::new("user", prompt)]);
    let asked = template.render(&conversation, &conversation.messages, true, now)?;
    Ok((asked.text, template.end_of_reply(now)?))
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
