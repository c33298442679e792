//! The line to the librarian, and what it has open. It is started when a visitor first wants something of it.

use js_sys::Array;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, Event, File, MessageChannel, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::browser;
use super::state::State;
use crate::model::archive::Kind;
use crate::model::{Lora, ModelSpec};
use crate::web::library::{Fetching, FromLibrarian, Kept, Opened, ToLibrarian, Vocabulary};
use crate::web::protocol::{Start, ToWorker};
use crate::web::texts::fill;
use crate::web::wire;

/// The script that starts the librarian.
const SCRIPT: &str = "start-librarian.js";

/// What is known of models in files.
#[derive(Clone, Copy)]
pub struct Library {
    worker: StoredValue<Option<Worker>, LocalStorage>,
    /// The model that is open.
    pub opened: RwSignal<Option<Opened>>,
    /// The adapters that are open on it.
    pub adapters: RwSignal<Option<Lora>>,
    /// Is something being opened?
    pub is_busy: RwSignal<bool>,
    pub fetching: RwSignal<Option<Fetching>>,
    pub kept: RwSignal<Vec<Kept>>,
    /// The saved run that waits for its model.
    pub resuming: RwSignal<Option<String>>,
}

impl Library {
    pub fn new() -> Self {
        Library {
            worker: StoredValue::new_local(None),
            opened: RwSignal::new(None),
            adapters: RwSignal::new(None),
            is_busy: RwSignal::new(false),
            fetching: RwSignal::new(None),
            kept: RwSignal::new(Vec::new()),
            resuming: RwSignal::new(None),
        }
    }

    /// Where the next run starts.
    pub fn start(self) -> Start {
        self.opened.with_untracked(|opened| match opened {
            None => Start::Seed,
            Some(opened) => Start::Opened {
                origin: opened.origin.clone(),
                fingerprint: opened.fingerprint,
                has_adapters: self.adapters.with_untracked(Option::is_some),
            },
        })
    }

    /// Tells the librarian something.
    pub fn send(self, state: State, message: &ToLibrarian) {
        self.send_with(state, message, &Array::new());
    }

    /// Opens what is in these files.
    pub fn open(self, state: State, kind: Kind, files: &[(String, File)]) {
        if files.is_empty() {
            return;
        }
        state.trouble.set(None);
        self.is_busy.set(true);
        let names = files.iter().map(|(name, _)| name.clone()).collect();
        self.send_with(state, &ToLibrarian::Open(kind, names), &files.iter().map(|(_, file)| file).collect());
    }

    /// Are the model and the adapters that are open of these sizes?
    pub fn fits(self, spec: &ModelSpec) -> bool {
        let has_config = self.opened.with_untracked(|opened| opened.as_ref().is_none_or(|opened| opened.config == spec.config));
        let has_lora = |lora: &Option<Lora>| lora.is_none() || spec.adapters().is_none_or(|own| lora.as_ref() == Some(own));
        has_config && self.adapters.with_untracked(has_lora)
    }

    /// Starts from the seed again.
    pub fn close(self, state: State) {
        self.opened.set(None);
        self.adapters.set(None);
        if state.form.with_untracked(|form| form.vocabulary == Vocabulary::Model) {
            state.form.update(|form| form.vocabulary = Vocabulary::Bytes);
        }
    }

    /// Opens the model at an address.
    pub fn fetch(self, state: State, address: String) {
        state.trouble.set(None);
        self.is_busy.set(true);
        self.send(state, &ToLibrarian::Fetch(address));
    }

    fn send_with(self, state: State, message: &ToLibrarian, files: &Array) {
        self.wake(state);
        let (pair, handed_over) = wire::pack(message, &[]);
        self.post(&pair.concat(files), &handed_over);
    }

    fn post(self, message: &Array, handed_over: &Array) {
        let post = |worker: &Worker| worker.post_message_with_transfer(message, handed_over).expect("files and bytes can be posted");
        self.worker.with_value(|worker| worker.iter().for_each(post));
    }

    /// Starts the librarian, if it is not there.
    pub fn wake(self, state: State) {
        if self.worker.with_value(Option::is_some) {
            return;
        }
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(SCRIPT, &options).expect("a page may start a worker from its own site");
        let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let (message, bytes) = wire::unpack(&event.data());
            self.hear(state, message, &bytes);
        });
        let died = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            let reason = event.dyn_ref().map_or_else(|| SCRIPT.to_owned(), ErrorEvent::message);
            self.worker.with_value(|worker| worker.iter().for_each(Worker::terminate));
            self.worker.set_value(None);
            self.opened.set(None);
            self.adapters.set(None);
            self.rest();
            state.stop_resuming();
            state.send(&ToWorker::Librarian);
            state.complain(&fill(state.texts.get_untracked().failures.librarian_stopped, &[("reason", &reason)]));
        });
        worker.set_onmessage(Some(hear.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(died.into_js_value().unchecked_ref()));
        self.worker.set_value(Some(worker));
        self.connect(state);
    }

    /// Gives the librarian and the trainer a line to one another.
    pub fn connect(self, state: State) {
        if self.worker.with_value(Option::is_none) {
            return;
        }
        let channel = MessageChannel::new().expect("a browser that has workers has channels");
        let (pair, _) = wire::pack(&ToLibrarian::Trainer, &[]);
        self.post(&pair, &Array::of1(&channel.port1()));
        state.send_port(&ToWorker::Librarian, &channel.port2());
    }

    fn rest(self) {
        self.is_busy.set(false);
        self.fetching.set(None);
    }

    fn hear(self, state: State, message: FromLibrarian, bytes: &[u8]) {
        let texts = state.texts.get_untracked();
        match message {
            FromLibrarian::Kept(kept) => self.kept.set(kept),
            FromLibrarian::Fetching(fetching) => self.fetching.set(Some(fetching)),
            FromLibrarian::Stopped => {
                self.rest();
                state.stop_resuming();
                state.notice.set(Some(texts.library.stopped.to_owned()));
            }
            FromLibrarian::Opened(opened) => {
                self.rest();
                self.adapters.set(None);
                state.trouble.set(None);
                let resuming = self.resuming.get_untracked();
                if resuming.is_none() {
                    state.form.update(|form| form.take_model(&opened.config, opened.has_tokenizer));
                }
                self.opened.set(Some(*opened));
                state.leave_room();
                if let Some(id) = resuming {
                    state.resume(id);
                }
            }
            FromLibrarian::OpenedAdapters(lora) => {
                self.rest();
                state.trouble.set(None);
                state.form.update(|form| form.take_adapters(&lora));
                self.adapters.set(Some(lora));
            }
            FromLibrarian::Packed(step) => {
                browser::download(&format!("streambp-step-{step}.zip"), "application/zip", bytes);
                state.notice.set(Some(fill(texts.keep.exported, &[("step", &step)])));
            }
            FromLibrarian::Failed(message) => {
                self.rest();
                state.stop_resuming();
                state.complain(&message);
            }
        }
    }
}
