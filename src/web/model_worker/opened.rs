//! What is open, and the line to the page.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use web_sys::{AbortController, Blob, DedicatedWorkerGlobalScope};

use super::blob_files::BlobFiles;
use crate::model::{Parameters, StoredAdapter, StoredModel};
use crate::text::Tokenizer;
use crate::web::codec;
use crate::web::model_protocol::{FromModelWorker, Opened};

/// What is open.
#[derive(Default)]
pub struct ModelWorker {
    pub model: RefCell<Option<Rc<Model>>>,
    pub adapters: RefCell<Option<Rc<Adapters>>>,
    /// The tokenizer of the run's text.
    pub tokenizer: RefCell<Option<Rc<Tokenizer>>>,
    /// Stops the download that is under way.
    pub download: RefCell<Option<AbortController>>,
}

/// A model that is open.
pub struct Model {
    pub stored: StoredModel<BlobFiles>,
    pub parameters: Parameters,
    pub about: Opened,
}

/// Adapters that are open.
pub struct Adapters {
    pub stored: StoredAdapter<BlobFiles>,
    pub parameters: Parameters,
}

/// Tells the page something, with bytes beside it.
pub fn send(message: &FromModelWorker, bytes: &[u8]) {
    let (pair, handed_over) = codec::pack(message, bytes);
    scope().post_message_with_transfer(&pair, &handed_over).expect("messages can be posted");
}

/// Tells the page something about files.
pub fn send_files(message: &FromModelWorker, files: &[Blob]) {
    let (pair, handed_over) = codec::pack(message, &[]);
    scope().post_message_with_transfer(&codec::with_files(&pair, files), &handed_over).expect("messages can be posted");
}

pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}
