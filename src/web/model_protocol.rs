//! What the page, the trainer and the model worker say to one another about models in files. The model worker is a worker with a program
//! of its own, which is loaded when a visitor opens or saves a model.

use serde::{Deserialize, Serialize};

use crate::model::archive::Kind;
use crate::model::{Config, Lora, ModelSpec};

/// What the page wants of the model worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToModelWorker {
    /// The port beside the message leads to the trainer.
    Trainer,
    /// Open a model, adapters on the model that is open, or a run, in the files beside the message. These are their names.
    Open(Kind, Vec<String>),
    /// Open the model at that address, and fetch of it what is not kept yet.
    Fetch(String),
    /// Stop fetching.
    Stop,
    /// Forget what is kept of the model at that address.
    Forget(String),
    /// Start from fresh adapters again.
    CloseAdapters,
}

/// What the model worker reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromModelWorker {
    /// Models that are kept in this browser.
    Cached(Vec<CachedModel>),
    /// How far a download is.
    Fetching(Fetching),
    /// The download was stopped.
    Stopped,
    /// A model is open.
    Opened(Box<Opened>),
    /// Adapters are open.
    OpenedAdapters(Lora),
    /// What the run has learned by that step is in the bytes beside the message, as a zip.
    Packed(u64),
    /// The directory of the run by that step is in the bytes beside the message, as a zip.
    PackedRun(u64),
    /// The files of a run are beside the message. These are their names in its directory.
    RunFiles(Vec<String>),
    /// Something went wrong. What was open is still open.
    Failed(String),
}

/// Where a model in files comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From files that the visitor chose: their folder's name.
    Chosen(String),
    /// From an address.
    Address(String),
}

impl Origin {
    /// The name that is shown, and that adapters have as that of their model.
    pub fn name(&self) -> &str {
        match self {
            Origin::Chosen(name) => name,
            Origin::Address(address) => {
                let host_end = address.find("://").and_then(|at| Some(at + 4 + address[at + 3..].find('/')?));
                let path = &address[host_end.unwrap_or(0)..];
                path.split("/resolve/").next().unwrap_or(path)
            }
        }
    }
}

/// A model that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Where it comes from.
    pub origin: Origin,
    /// Its sizes.
    pub config: Config,
    /// A number that differs where the weights differ.
    pub fingerprint: u64,
    /// Came a tokenizer with it?
    pub has_tokenizer: bool,
}

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vocabulary {
    /// A token is a byte.
    Bytes,
    /// As the tokenizer says that came with the model.
    Model,
    /// Pairs of bytes that are often together are one, as many of them as the model knows tokens: learned from the text itself.
    Learned,
}

impl Vocabulary {
    /// All of them, in the order of the list.
    pub const ALL: [Vocabulary; 3] = [Vocabulary::Bytes, Vocabulary::Model, Vocabulary::Learned];

    /// The value in the page's list and link.
    pub fn name(self) -> &'static str {
        match self {
            Vocabulary::Bytes => "bytes",
            Vocabulary::Model => "model",
            Vocabulary::Learned => "learned",
        }
    }

    /// The vocabulary of that name.
    pub fn named(name: &str) -> Option<Vocabulary> {
        Self::ALL.into_iter().find(|vocabulary| vocabulary.name() == name)
    }
}

/// A text as token ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoded {
    /// One text.
    Stream(Vec<u32>),
    /// Documents, with what is to be learned of each.
    Documents(Vec<(Vec<u32>, Vec<bool>)>),
    /// The same of pairs of answers: the chosen and the rejected document of each.
    Pairs(Vec<[(Vec<u32>, Vec<bool>); 2]>),
}

/// A model that is kept in this browser, or the part of it that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedModel {
    /// Its address.
    pub address: String,
    /// Bytes that are kept.
    pub bytes: u64,
    /// Is that all of it?
    pub is_whole: bool,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetching {
    /// The file at which it is.
    pub file: String,
    /// Bytes of the model that are there.
    pub done: u64,
    /// Bytes of the model, as far as is known.
    pub all: u64,
}

/// What the trainer wants of the model worker. The answer is the number of the message with `Ok`, or a sentence on what is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Goes up with every message.
    pub number: u32,
    /// What is wanted.
    pub request: Request,
}

/// Something that the trainer wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Rows of a parameter, as f32 in the bytes beside the answer.
    Rows {
        /// The model's fingerprint.
        model: u64,
        /// Of the model or of the adapters?
        of: Kind,
        /// The parameter's name.
        name: String,
        /// The first row, and the one behind the last.
        rows: [u32; 2],
    },
    /// Encode the text in the file beside the message, as an [`Encoded`]. What follows of [`Request::Encode`] and [`Request::Decode`] is
    /// about the same tokens.
    Read {
        /// The text's name.
        name: String,
        /// How it becomes tokens.
        vocabulary: Vocabulary,
        /// The fingerprint of the model whose tokenizer is meant.
        model: Option<u64>,
        /// The model's sizes.
        config: Box<Config>,
        /// When it was written, in seconds since 1970: a chat template may write the day.
        written: u64,
        /// Are its rows to be pairs of answers?
        has_pairs: bool,
    },
    /// A text as token ids.
    Encode(String),
    /// What each of these token ids adds to the text.
    Decode(Vec<u32>),
    /// Give the visitor what was learned by that step. The parameters that learn lie one behind the other in the bytes beside it.
    Pack(u64, Box<ModelSpec>, String),
    /// Give the visitor the directory of a run.
    PackRun {
        /// Its steps.
        step: u64,
        /// The names and sizes of its files, which lie one behind the other in the bytes beside the message.
        files: Vec<(String, u64)>,
        /// The name of its text, which is the file beside the message.
        text: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_the_name_that_its_host_has_for_it() {
        let name = |address: &str| Origin::Address(address.to_owned()).name().to_owned();
        assert_eq!(name("https://huggingface.co/org/model/resolve/main/"), "org/model");
        assert_eq!(name("http://127.0.0.1:80/model/resolve/v1/"), "model");
        assert_eq!(Origin::Chosen("folder".to_owned()).name(), "folder");
    }
}
