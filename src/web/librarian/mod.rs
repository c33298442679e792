//! The librarian's side: opens models and adapters in files, fetches them from addresses, lends their rows to the trainer, and packs
//! what was learned. It is a worker of its own, so that a file that breaks it ends no run, and a program of its own: what reads tokenizers,
//! templates and zips is twice the code of everything else, and a browser would have to compile it before the page starts.

mod download;
mod folder;
mod lend;
mod shelf;
mod text;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{AbortController, Blob, DedicatedWorkerGlobalScope, MessageEvent};
use web_time::Instant;

use super::address;
use super::library::{Fetching, FromLibrarian, Opened, Origin, ToLibrarian};
use super::wire;
use crate::error::{Error, Result};
use crate::model::archive::Kind;
use crate::model::{Dtype, Files, ModelSpec, Parameters, StoredAdapter, StoredModel, fingerprint};
use crate::text::{Tokenizer, TokenizerFiles};
use download::Download;
use folder::Folder;
use shelf::Shelf;

/// Seconds between two words on how far a download is.
const TELL_SECONDS: f64 = 0.1;

/// What is open.
#[derive(Default)]
struct Librarian {
    model: RefCell<Option<Rc<Model>>>,
    adapters: RefCell<Option<Rc<Adapters>>>,
    /// The tokenizer of the run's text.
    tokenizer: RefCell<Option<Rc<Tokenizer>>>,
    /// Stops the download that is under way.
    download: RefCell<Option<AbortController>>,
}

/// A model that is open.
struct Model {
    stored: StoredModel<Folder>,
    parameters: Parameters,
    about: Opened,
}

/// Adapters that are open.
struct Adapters {
    stored: StoredAdapter<Folder>,
    parameters: Parameters,
}

/// Starts to listen.
pub fn start() {
    console_error_panic_hook::set_once();
    let librarian = Rc::new(Librarian::default());
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let (message, _) = wire::unpack(&event.data());
        let librarian = librarian.clone();
        spawn_local(async move {
            if let Err(error) = librarian.obey(message, &event).await {
                tell(&FromLibrarian::Failed(error.to_string()), &[]);
            }
        });
    });
    scope().set_onmessage(Some(receive.into_js_value().unchecked_ref()));
    spawn_local(tell_kept());
}

impl Librarian {
    async fn obey(self: Rc<Self>, message: ToLibrarian, event: &MessageEvent) -> Result<()> {
        match message {
            ToLibrarian::Trainer => lend::to(&self, event.ports().get(0).unchecked_into()),
            ToLibrarian::Open(kind, names) => {
                let files: Vec<(String, Blob)> = names.into_iter().zip(wire::files(&event.data())).collect();
                let name = shown_name(&files);
                let folder = Folder::among(files, kind).await?;
                match kind {
                    Kind::Model => self.open(folder, Origin::Chosen(name)).await?,
                    Kind::Adapters => self.open_adapters(folder).await?,
                }
            }
            ToLibrarian::Fetch(typed) => self.fetch(&typed).await?,
            ToLibrarian::Stop => {
                self.download.borrow().iter().for_each(AbortController::abort);
            }
            ToLibrarian::Forget(address) => {
                Shelf::forget(&address).await?;
                tell_kept().await;
            }
            ToLibrarian::CloseAdapters => *self.adapters.borrow_mut() = None,
        }
        Ok(())
    }

    async fn open(&self, folder: Folder, origin: Origin) -> Result<()> {
        let stored = StoredModel::open(folder).await?;
        let config = stored.config().clone();
        let parameters = Parameters::new(&config);
        let fingerprint = fingerprint(&stored, parameters.iter().map(|(_, parameter)| parameter)).await?;
        let has_tokenizer = stored.files().size(TokenizerFiles::NAMES[0]).await?.is_some();
        let about = Opened { origin, config, fingerprint, has_tokenizer };
        tell(&FromLibrarian::Opened(Box::new(about.clone())), &[]);
        // Adapters belong to the model that was open before.
        *self.adapters.borrow_mut() = None;
        *self.model.borrow_mut() = Some(Rc::new(Model { stored, parameters, about }));
        Ok(())
    }

    async fn open_adapters(&self, folder: Folder) -> Result<()> {
        let Some(model) = self.model.borrow().clone() else {
            return Err(Error::Data("adapters belong to a model, and none is open; open their model first".to_owned()));
        };
        let stored = StoredAdapter::open(folder, model.stored.config()).await?;
        let spec = ModelSpec::lora(model.stored.config(), stored.lora().clone(), Dtype::F32)?;
        let parameters = Parameters::new(spec);
        tell(&FromLibrarian::OpenedAdapters(stored.lora().clone()), &[]);
        *self.adapters.borrow_mut() = Some(Rc::new(Adapters { stored, parameters }));
        Ok(())
    }

    /// Opens the model at an address. One that is all there needs no network.
    async fn fetch(&self, typed: &str) -> Result<()> {
        let Some(address) = address::directory(typed) else {
            let what = format!("\"{typed}\" is no address of a model; give one as https://host/owner/model");
            return Err(Error::Data(what));
        };
        let mut shelf = Shelf::of(&address).await?;
        if !shelf.is_whole() {
            let stop = AbortController::new().expect("a browser that has workers can stop a download");
            if let Some(other) = self.download.replace(Some(stop.clone())) {
                other.abort();
            }
            let told = Cell::new(None::<Instant>);
            let tell_at_times = |fetching: Fetching| {
                if told.get().is_none_or(|at| at.elapsed().as_secs_f64() > TELL_SECONDS) {
                    told.set(Some(Instant::now()));
                    tell(&FromLibrarian::Fetching(fetching), &[]);
                }
            };
            let outcome = Download { address: &address, signal: &stop.signal(), tell: &tell_at_times }.run(&mut shelf).await;
            tell_kept().await;
            if outcome.is_err() && stop.signal().aborted() {
                tell(&FromLibrarian::Stopped, &[]);
                return Ok(());
            }
            outcome?;
        }
        self.open(shelf.folder().await?, Origin::Address(address)).await
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

async fn tell_kept() {
    let kept = Shelf::all().await.into_iter().filter(|kept| kept.bytes > 0).collect();
    tell(&FromLibrarian::Kept(kept), &[]);
}

fn tell(message: &FromLibrarian, bytes: &[u8]) {
    let (pair, handed_over) = wire::pack(message, bytes);
    scope().post_message_with_transfer(&pair, &handed_over).expect("messages can be posted");
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}
