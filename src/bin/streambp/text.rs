//! Options of tokenizers and text data.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use streambp::error::{Error, Result};
use streambp::model::archive::TokenizerParts;
use streambp::model::{Config, ModelType, Preset, is_config};
use streambp::shaders;
use streambp::text::{
    ChatTemplate, Content, Conversation, Document, EncodedPairs, EncodedPrompts, EncodedRows, Message, PromptRows, Tokenizer,
    TokenizerFiles, train_vocabulary, without_mark,
};
use streambp::train::run_file::OWN;
use streambp::train::{Dataset, Summary};

use crate::options::ModelOptions;
use crate::output;

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
    /// The tokenizer for a model with that vocabulary size: the one of the option, or that of the adapters, or that of the model.
    pub fn tokenizer(&self, model: &ModelOptions, vocab_size: u32) -> Result<Tokenizer> {
        let is_preset = Preset::named(&model.model).is_some();
        let directory = Some(Path::new(&model.model)).filter(|path| !is_preset && path.is_dir());
        let adapters = model.lora.lora.as_deref();
        let files = match &self.tokenizer {
            Some(bytes) if bytes == "bytes" => None,
            Some(path) => {
                let missing = || Error::Setting(format!("there is no tokenizer {path}: give a tokenizer.json, or bytes"));
                Some(TokenizerFiles::read(Path::new(path))?.ok_or_else(missing)?)
            }
            None => match (adapters.map_or(Ok(None), TokenizerFiles::read)?, directory) {
                (Some(files), _) => Some(files),
                (None, Some(directory)) => of_model(directory, vocab_size)?,
                (None, None) if is_preset || is_config(&model.model) => None,
                (None, None) => {
                    let model = &model.model;
                    output::say(format_args!(
                        "note: {model} alone names no tokenizer, so every byte is a token; give one with --tokenizer"
                    ));
                    None
                }
            },
        };
        let Some(mut files) = files else { return Ok(Tokenizer::bytes()) };
        // What ends a text for the model stands beside its weights.
        if let Some(directory) = directory {
            files = files.with_ids_of(directory)?;
        }
        if let Some(adapters) = adapters.filter(|_| self.tokenizer.is_none()) {
            files = files.with_template_of(adapters)?;
        }
        Tokenizer::from_files(files, vocab_size)
    }
}

/// The tokenizer's files of a model; `None` stands for bytes.
fn of_model(directory: &Path, vocab_size: u32) -> Result<Option<TokenizerFiles>> {
    if let Some(files) = TokenizerFiles::read(directory)? {
        return Ok(Some(files));
    }
    let has = |name: &str| directory.join(name).is_file();
    let forms: [&[&str]; 5] =
        [&["tokenizer.model"], &["spiece.model"], &["vocab.json", "merges.txt"], &["vocab.txt"], &["tokenizer_config.json"]];
    let found = forms.into_iter().find(|names| names.iter().all(|name| has(name)));
    let shown = directory.display();
    match found {
        // Models of bytes were once written without a tokenizer.
        None if vocab_size == 256 => Ok(None),
        None => Err(Error::Setting(format!(
            "{shown} has no tokenizer.json; put the one of the model there, name another one with --tokenizer, or take bytes with --tokenizer bytes"
        ))),
        Some(names) => Err(Error::Setting(format!(
            "{shown} has {} and no tokenizer.json; convert it with `python -c \"from transformers import AutoTokenizer; AutoTokenizer.from_pretrained('{shown}').save_pretrained('{shown}')\"`, or take bytes with --tokenizer bytes",
            names.join(" and ")
        ))),
    }
}

/// The tokenizer that adapters bring along for their model, and the ids of what ends its texts and replies. It goes with the merged model.
pub fn tokenizer_of_adapters(adapters: &Path, model: &Path, config: &Config) -> Result<Option<TokenizerParts>> {
    let files = match TokenizerFiles::read(adapters)? {
        None if adapters.join(TokenizerFiles::CHAT_TEMPLATE).is_file() => TokenizerFiles::read(model)?,
        files => files,
    };
    let Some(files) = files else { return Ok(None) };
    let files = files.with_ids_of(model)?.with_template_of(adapters)?;
    let tokenizer = Tokenizer::from_files(files, config.vocab_size)?;
    let Some(source) = tokenizer.chat_template().map(str::to_owned) else { return Ok(Some(tokenizer.parts())) };
    // A template that cannot be used ends no reply.
    let template = ChatTemplate::of(&tokenizer, config.model_type);
    let end = template.and_then(|template| template.end_of_reply(seconds(SystemTime::now()))).unwrap_or_default();
    let tokenizer = tokenizer.with_chat_template(&source, &end);
    Ok(Some(tokenizer.parts()))
}

/// Options of a text file for training.
#[derive(Args)]
pub struct DataOptions {
    #[command(flatten)]
    text: TextOptions,
    /// Train a BPE vocabulary of that size on the data first (for presets)
    #[arg(long, value_name = "SIZE", conflicts_with = "tokenizer")]
    pub train_tokenizer: Option<u32>,
    /// When the text was written, in seconds since 1970, if not when its file says: it may have been copied.
    #[arg(skip)]
    pub written: Option<u64>,
}

/// The tokens of a file.
struct Encoded {
    tokens: Tokens,
    tokenizer: Tokenizer,
    /// What the file holds, in words.
    read: String,
}

enum Tokens {
    Bytes(Vec<u8>),
    Ids(Vec<u32>),
    Documents(Vec<Document>),
    Pairs(Vec<[Document; 2]>),
}

/// What rows are read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Documents,
    Pairs,
}

impl TextOptions {
    /// The documents of a file to evaluate a model on; a text is one of them. Says on standard error what was read.
    pub fn documents(self, data: &str, model: &ModelOptions, config: &mut Config, seq_len: u32) -> Result<Vec<Document>> {
        let options = DataOptions { text: self, train_tokenizer: None, written: None };
        let Encoded { tokens, read, .. } = options.encode(data, model, config, Purpose::Documents)?;
        let whole = |ids: Vec<u32>| vec![Document { assistant_mask: vec![true; ids.len()], ids }];
        let documents = match tokens {
            Tokens::Bytes(bytes) => whole(bytes.into_iter().map(u32::from).collect()),
            Tokens::Ids(ids) => whole(ids),
            Tokens::Documents(documents) => documents,
            Tokens::Pairs(pairs) => pairs.into_iter().flatten().collect(),
        };
        say_what_was_read(data, &read, Summary::of(&documents, seq_len), seq_len, Purpose::Documents);
        Ok(documents)
    }
}

impl DataOptions {
    /// The dataset of a file, and its tokenizer. A preset's vocabulary size is set to the tokenizer's. Says on standard error what was
    /// read.
    pub fn dataset(&self, data: &str, model: &ModelOptions, config: &mut Config, seq_len: u32) -> Result<(Dataset, Tokenizer)> {
        self.read(data, model, config, seq_len, Purpose::Documents)
    }

    /// The same for pairs of answers.
    pub fn pairs(&self, data: &str, model: &ModelOptions, config: &mut Config, seq_len: u32) -> Result<(Dataset, Tokenizer)> {
        self.read(data, model, config, seq_len, Purpose::Pairs)
    }

    fn read(&self, data: &str, model: &ModelOptions, config: &mut Config, seq_len: u32, purpose: Purpose) -> Result<(Dataset, Tokenizer)> {
        let Encoded { tokens, tokenizer, read } = self.encode(data, model, config, purpose)?;
        let dataset = match tokens {
            Tokens::Bytes(bytes) => Dataset::text(bytes, seq_len)?,
            Tokens::Ids(ids) => Dataset::tokens(ids, seq_len)?,
            Tokens::Documents(documents) => Dataset::documents(&documents, seq_len)?,
            Tokens::Pairs(pairs) => Dataset::pairs(&pairs, seq_len)?,
        };
        say_what_was_read(data, &read, dataset.summary().unwrap_or_default(), seq_len, purpose);
        Ok((dataset, tokenizer))
    }

    /// The prompts of a file of rows, and its tokenizer. Prompts have `longest` tokens at most. A preset's vocabulary size is set to the
    /// tokenizer's. Says on standard error what was read.
    pub fn prompts(&self, data: &str, model: &ModelOptions, config: &mut Config, longest: u32) -> Result<(Dataset, Arc<Tokenizer>)> {
        let rows = PromptRows::read(data, &read_text(data)?)?;
        let tokenizer = self.tokenizer(model, config, rows.texts())?;
        let written = self.written.map_or_else(|| written(data), Ok)?;
        let EncodedPrompts { prompts, end, tokenizer } = rows.encode(tokenizer, config.model_type, written)?;
        let tokenizer = Arc::new(tokenizer);
        let decoder = Arc::clone(&tokenizer);
        let dataset = Dataset::prompts_of(prompts, end, Some(Box::new(move |ids| decoder.decode(ids))), longest)?;
        say_what_was_read(data, &rows.count(), dataset.summary().unwrap_or_default(), longest, Purpose::Documents);
        Ok((dataset, tokenizer))
    }

    /// Reads a file, whatever it holds, or this project's shaders.
    fn encode(&self, data: &str, model: &ModelOptions, config: &mut Config, purpose: Purpose) -> Result<Encoded> {
        let text = match data {
            OWN => shaders::text(),
            path => read_text(path)?,
        };
        let text = without_mark(&text);
        match Content::of(data, text)? {
            Content::Text(_) if purpose == Purpose::Pairs => Err(Error::Data(format!(
                "{data} has no rows; --objective dpo compares rows with \"chosen\" and \"rejected\", as JSON lines or a JSON array"
            ))),
            Content::Text(notice) => {
                notice.into_iter().for_each(|notice| output::say(format_args!("note: {data} {notice}")));
                let tokenizer = self.tokenizer(model, config, [text].into_iter())?;
                let tokens = match tokenizer.is_bytes() {
                    true => Tokens::Bytes(text.as_bytes().to_vec()),
                    false => Tokens::Ids(tokenizer.encode(text)?),
                };
                Ok(Encoded { tokens, tokenizer, read: "one text".to_owned() })
            }
            Content::Rows(rows) => {
                let tokenizer = self.tokenizer(model, config, rows.texts())?;
                // A template may write the date. It gets that of the data, so that a run that is resumed on another day sees the same text.
                let written = self.written.map_or_else(|| written(data), Ok)?;
                let (tokens, tokenizer, notice) = match purpose {
                    Purpose::Documents => {
                        let EncodedRows { documents, tokenizer, notice } = rows.encode(tokenizer, config.model_type, written)?;
                        (Tokens::Documents(documents), tokenizer, notice)
                    }
                    Purpose::Pairs => {
                        let EncodedPairs { pairs, tokenizer, notice } = rows.encode_pairs(tokenizer, config.model_type, written)?;
                        (Tokens::Pairs(pairs), tokenizer, notice)
                    }
                };
                notice.into_iter().for_each(|notice| output::say(format_args!("note: {data}: {notice}")));
                Ok(Encoded { tokens, tokenizer, read: rows.count() })
            }
        }
    }

    /// Is no tokenizer given? A model keeps the one that it came with then.
    pub fn keeps_tokenizer(&self) -> bool {
        self.text.tokenizer.is_none() && self.train_tokenizer.is_none()
    }

    /// Refuses tokenizer options for generated data, which consists of bytes.
    ///
    /// # Errors
    /// [`Error::Setting`] if a tokenizer option was given.
    pub fn refuse(&self, data: &str) -> Result<()> {
        if !self.keeps_tokenizer() {
            return Err(Error::Setting(format!("{data} is made of bytes; leave out --tokenizer and --train-tokenizer, or give a file")));
        }
        Ok(())
    }

    fn tokenizer<'a>(&self, model: &ModelOptions, config: &mut Config, texts: impl Iterator<Item = &'a str> + Send) -> Result<Tokenizer> {
        let is_preset = Preset::named(&model.model).is_some();
        let tokenizer = match self.train_tokenizer {
            Some(_) if !is_preset && !is_config(&model.model) => {
                return Err(Error::Setting(format!(
                    "{} was trained with a vocabulary of its own; --train-tokenizer goes with a preset, whose weights are fresh",
                    model.model
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

fn read_text(path: &str) -> Result<String> {
    let text = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    String::from_utf8(text).map_err(|_| Error::Data(format!("{path} is no UTF-8 text; give a text file")))
}

/// One line on what data came to.
fn say_what_was_read(data: &str, read: &str, summary: Summary, seq_len: u32, purpose: Purpose) {
    let Summary { documents, tokens, labels, cut, without_labels, too_long } = summary;
    let documents = if documents == 1 { String::new() } else { format!("{documents} documents of ") };
    let cut = match (cut, purpose) {
        (0, _) => String::new(),
        (_, Purpose::Pairs) => format!("; {cut} answers end after --seq-len {seq_len}, and what follows is left out"),
        _ => format!("; {cut} longer than --seq-len {seq_len} are cut, and what follows a cut does not see what precedes it"),
    };
    let left_out = if without_labels == 0 { String::new() } else { format!("; {without_labels} without labels are left out") };
    let too_long = if too_long == 0 { String::new() } else { format!("; {too_long} prompts of more than {seq_len} tokens are left out") };
    output::say(format_args!("note: {data}: {read}, {documents}{tokens} tokens, {labels} of them labels{cut}{left_out}{too_long}"));
}

/// The rendered prompt of a question, and the stop sequence of the answer.
pub fn question(prompt: &str, tokenizer: &Tokenizer, model_type: ModelType) -> Result<(String, String)> {
    let template = ChatTemplate::of(tokenizer, model_type)?;
    let now = seconds(SystemTime::now());
    let conversation = Conversation::new(vec![Message::new("user", prompt)]);
    let asked = template.render(&conversation, &conversation.messages, true, now)?;
    Ok((asked.text, template.end_of_reply(now)?))
}

/// When a file was written, in seconds since 1970.
pub fn written(file: &str) -> Result<u64> {
    std::fs::metadata(file).and_then(|file| file.modified()).map(seconds).map_err(|e| Error::io(file, e))
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
