//! The line to the model worker, and what it has open. It is started when a visitor first wants something of it.

use js_sys::Array;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, Event, File, MessageChannel, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::browser;
use super::state::State;
use crate::model::archive::Kind;
use crate::model::{Lora, ModelSpec};
use crate::web::codec;
use crate::web::i18n::fill;
use crate::web::model_protocol::{CachedModel, Fetching, FromModelWorker, Opened, ToModelWorker, Vocabulary};
use crate::web::protocol::{Start, ToWorker};

/// The script that starts the model worker.
const SCRIPT: &str = "start-model-worker.js";

/// What is known of models in files.
#[derive(Clone, Copy)]
pub struct ModelClient {
    worker: StoredValue<Option<Worker>, LocalStorage>,
    /// The model that is open.
    pub opened: RwSignal<Option<Opened>>,
    /// The adapters that are open on it.
    pub adapters: RwSignal<Option<Lora>>,
    /// Is something being opened?
    pub is_busy: RwSignal<bool>,
    pub fetching: RwSignal<Option<Fetching>>,
    pub cached: RwSignal<Vec<CachedModel>>,
    /// The saved run that waits for its model.
    pub resuming: RwSignal<Option<String>>,
}

impl ModelClient {
    pub fn new() -> Self {
        ModelClient {
            worker: StoredValue::new_local(None),
            opened: RwSignal::new(None),
            adapters: RwSignal::new(None),
            is_busy: RwSignal::new(false),
            fetching: RwSignal::new(None),
            cached: RwSignal::new(Vec::new()),
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

    /// Tells the model worker something.
    pub fn send(self, state: State, message: &ToModelWorker) {
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
        self.send_with(state, &ToModelWorker::Open(kind, names), &files.iter().map(|(_, file)| file).collect());
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
        self.send(state, &ToModelWorker::Fetch(address));
    }

    fn send_with(self, state: State, message: &ToModelWorker, files: &Array) {
        self.ensure_started(state);
        let (pair, handed_over) = codec::pack(message, &[]);
        self.post(&pair.concat(files), &handed_over);
    }

    fn post(self, message: &Array, handed_over: &Array) {
        let post = |worker: &Worker| worker.post_message_with_transfer(message, handed_over).expect("files and bytes can be posted");
        self.worker.with_value(|worker| worker.iter().for_each(post));
    }

    /// Starts the model worker, if it is not there.
    pub fn ensure_started(self, state: State) {
        if self.worker.with_value(Option::is_some) {
            return;
        }
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(SCRIPT, &options).expect("a page may start a worker from its own site");
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let (message, bytes) = codec::unpack(&event.data());
            self.on_message(state, message, &bytes);
        });
        let died = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            let reason = event.dyn_ref().map_or_else(|| SCRIPT.to_owned(), ErrorEvent::message);
            self.worker.with_value(|worker| worker.iter().for_each(Worker::terminate));
            self.worker.set_value(None);
            self.opened.set(None);
            self.adapters.set(None);
            self.rest();
            state.stop_resuming();
            state.send(&ToWorker::ModelWorker);
            state.show_error(&fill(state.texts.get_untracked().failures.model_worker_stopped, &[("reason", &reason)]));
        });
        worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(died.into_js_value().unchecked_ref()));
        self.worker.set_value(Some(worker));
        self.connect(state);
    }

    /// Gives the model worker and the trainer a line to one another.
    pub fn connect(self, state: State) {
        if self.worker.with_value(Option::is_none) {
            return;
        }
        let channel = MessageChannel::new().expect("a browser that has workers has channels");
        let (pair, _) = codec::pack(&ToModelWorker::Trainer, &[]);
        self.post(&pair, &Array::of1(&channel.port1()));
        state.send_port(&ToWorker::ModelWorker, &channel.port2());
    }

    fn rest(self) {
        self.is_busy.set(false);
        self.fetching.set(None);
    }

    fn on_message(self, state: State, message: FromModelWorker, bytes: &[u8]) {
        let texts = state.texts.get_untracked();
        match message {
            FromModelWorker::Cached(cached) => self.cached.set(cached),
            FromModelWorker::Fetching(fetching) => self.fetching.set(Some(fetching)),
            FromModelWorker::Stopped => {
                self.rest();
                state.stop_resuming();
                state.notice.set(Some(texts.models.stopped.to_owned()));
            }
            FromModelWorker::Opened(opened) => {
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
            FromModelWorker::OpenedAdapters(lora) => {
                self.rest();
                state.trouble.set(None);
                state.form.update(|form| form.take_adapters(&lora));
                self.adapters.set(Some(lora));
            }
            FromModelWorker::Packed(step) => {
                browser::download(&format!("streambp-step-{step}.zip"), "application/zip", bytes);
                state.notice.set(Some(fill(texts.saving.exported, &[("step", &step)])));
            }
            FromModelWorker::Failed(message) => {
                self.rest();
                state.stop_resuming();
                state.show_error(&message);
            }
        }
    }
}
