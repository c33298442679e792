//! The worker's side: opens models and adapters in files, fetches them from addresses, lends their rows to the trainer, and packs
//! what was learned. It is a worker of its own, so that a file that breaks it ends no run, and a program of its own: what reads tokenizers,
//! templates and zips is twice the code of everything else, and a browser would have to compile it before the page starts.

mod blob_files;
mod download;
mod model_cache;
mod opened;
mod rpc;
mod text;

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{AbortController, Blob, MessageEvent};
use web_time::Instant;

use super::address;
use super::codec;
use super::model_protocol::{Fetching, FromModelWorker, Opened, Origin, ToModelWorker};
use crate::error::{Error, Result};
use crate::model::archive::Kind;
use crate::model::{Dtype, Files, ModelSpec, Parameters, StoredAdapter, StoredModel, fingerprint};
use crate::text::TokenizerFiles;
use blob_files::BlobFiles;
use download::Download;
use model_cache::ModelCache;
use opened::{Adapters, Model, ModelWorker, scope, send};

/// Seconds between two words on how far a download is.
const TELL_SECONDS: f64 = 0.1;

/// Starts to listen.
pub fn start() {
    console_error_panic_hook::set_once();
    let worker = Rc::new(ModelWorker::default());
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let (message, _) = codec::unpack(&event.data());
        let worker = worker.clone();
        spawn_local(async move {
            if let Err(error) = worker.handle(message, &event).await {
                send(&FromModelWorker::Failed(error.to_string()), &[]);
            }
        });
    });
    scope().set_onmessage(Some(receive.into_js_value().unchecked_ref()));
    spawn_local(send_cached());
}

impl ModelWorker {
    async fn handle(self: Rc<Self>, message: ToModelWorker, event: &MessageEvent) -> Result<()> {
        match message {
            ToModelWorker::Trainer => rpc::serve(&self, event.ports().get(0).unchecked_into()),
            ToModelWorker::Open(kind, names) => {
                let files: Vec<(String, Blob)> = names.into_iter().zip(codec::files(&event.data())).collect();
                let name = shown_name(&files);
                let folder = BlobFiles::among(files, kind).await?;
                match kind {
                    Kind::Model => self.open(folder, Origin::Chosen(name)).await?,
                    Kind::Adapters => self.open_adapters(folder).await?,
                    Kind::Run => {
                        let (names, files): (Vec<String>, Vec<Blob>) = folder.0.into_iter().unzip();
                        opened::send_files(&FromModelWorker::RunFiles(names), &files);
                    }
                }
            }
            ToModelWorker::Fetch(typed) => self.fetch(&typed).await?,
            ToModelWorker::Stop => {
                self.download.borrow().iter().for_each(AbortController::abort);
            }
            ToModelWorker::Forget(address) => {
                ModelCache::forget(&address).await?;
                send_cached().await;
            }
            ToModelWorker::CloseAdapters => *self.adapters.borrow_mut() = None,
        }
        Ok(())
    }

    async fn open(&self, folder: BlobFiles, origin: Origin) -> Result<()> {
        let stored = StoredModel::open(folder).await?;
        let config = stored.config().clone();
        let parameters = Parameters::new(&config);
        let fingerprint = fingerprint(&stored, parameters.iter().map(|(_, parameter)| parameter)).await?;
        let has_tokenizer = stored.files().size(TokenizerFiles::NAMES[0]).await?.is_some();
        let about = Opened { origin, config, fingerprint, has_tokenizer };
        send(&FromModelWorker::Opened(Box::new(about.clone())), &[]);
        // Adapters belong to the model that was open before.
        *self.adapters.borrow_mut() = None;
        *self.model.borrow_mut() = Some(Rc::new(Model { stored, parameters, about }));
        Ok(())
    }

    async fn open_adapters(&self, folder: BlobFiles) -> Result<()> {
        let Some(model) = self.model.borrow().clone() else {
            return Err(Error::Data("adapters belong to a model, and none is open; open their model first".to_owned()));
        };
        let stored = StoredAdapter::open(folder, model.stored.config()).await?;
        let spec = ModelSpec::lora(model.stored.config(), stored.lora().clone(), Dtype::F32)?;
        let parameters = Parameters::new(spec);
        send(&FromModelWorker::OpenedAdapters(stored.lora().clone()), &[]);
        *self.adapters.borrow_mut() = Some(Rc::new(Adapters { stored, parameters }));
        Ok(())
    }

    /// Opens the model at an address. One that is all there needs no network.
    async fn fetch(&self, typed: &str) -> Result<()> {
        let Some(address) = address::directory(typed) else {
            let what = format!("\"{typed}\" is no address of a model; give one as https://host/owner/model");
            return Err(Error::Data(what));
        };
        let mut cache = ModelCache::of(&address).await?;
        if !cache.is_whole() {
            let stop = AbortController::new().expect("a browser that has workers can stop a download");
            if let Some(other) = self.download.replace(Some(stop.clone())) {
                other.abort();
            }
            let told = Cell::new(None::<Instant>);
            let at_times = |fetching: Fetching| {
                if told.get().is_none_or(|at| at.elapsed().as_secs_f64() > TELL_SECONDS) {
                    told.set(Some(Instant::now()));
                    send(&FromModelWorker::Fetching(fetching), &[]);
                }
            };
            let outcome = Download { address: &address, signal: &stop.signal(), on_progress: &at_times }.run(&mut cache).await;
            send_cached().await;
            if outcome.is_err() && stop.signal().aborted() {
                send(&FromModelWorker::Stopped, &[]);
                return Ok(());
            }
            outcome?;
        }
        self.open(cache.files().await?, Origin::Address(address)).await
    }
}

/// What the visitor would call these files: the name of their folder or of their zip. Of files alone, browsers do not tell it.
fn shown_name(files: &[(String, Blob)]) -> String {
    let name = match files {
        [(name, _), ..] if name.contains('/') => name.split('/').next(),
        [(name, _)] => Some(name.as_str()),
        _ => None,
    };
    name.unwrap_or("model").to_owned()
}

async fn send_cached() {
    let kept = ModelCache::all().await.into_iter().filter(|kept| kept.bytes > 0).collect();
    send(&FromModelWorker::Cached(kept), &[]);
}
