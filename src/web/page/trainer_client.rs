//! The line to the worker.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, ErrorEvent, Event, MessageEvent, MessagePort, Worker, WorkerOptions, WorkerType};

use super::state::State;
use crate::web::codec;
use crate::web::i18n::fill;
use crate::web::protocol::ToWorker;

/// The script that starts a worker.
const SCRIPT: &str = "start-worker.js";

/// The worker there is. Browsers' objects stay on the page's own thread.
#[derive(Clone, Copy)]
pub struct TrainerClient(StoredValue<Worker, LocalStorage>);

impl TrainerClient {
    pub fn new() -> Self {
        TrainerClient(StoredValue::new_local(spawn("trainer")))
    }

    /// Listens to the worker, and puts another one in its place if it dies.
    pub fn connect(self, state: State) {
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            state.on_message(codec::unpack(&event.data()).0, codec::files(&event.data()).pop());
        });
        let died = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            // A script that cannot be loaded is an event without a message.
            let reason = event.dyn_ref().map_or_else(|| SCRIPT.to_owned(), ErrorEvent::message);
            state.fail(fill(state.texts.get_untracked().failures.worker_stopped, &[("reason", &reason)]), false, None);
            // One that never got as far as a device would only die again.
            if state.device.with_untracked(Option::is_none) {
                return;
            }
            self.0.with_value(Worker::terminate);
            self.0.set_value(spawn("trainer"));
            self.connect(state);
            state.models.connect(state);
        });
        self.0.with_value(|worker| {
            worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
            worker.set_onerror(Some(died.into_js_value().unchecked_ref()));
        });
    }

    /// Tells the worker something; a text or a port may go with it.
    pub fn send(self, message: &ToWorker, text: Option<&Blob>, port: Option<&MessagePort>) {
        let (pair, handed_over) = codec::pack(message, &[]);
        let message = codec::with_files(&pair, text);
        if let Some(port) = port {
            handed_over.push(port);
        }
        self.0.with_value(|worker| worker.post_message_with_transfer(&message, &handed_over).expect("messages can be posted"));
    }
}

/// Starts a worker, and hands it the program that this page runs: it need not be loaded and compiled again.
pub fn spawn(role: &str) -> Worker {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    options.set_name(role);
    let worker = Worker::new_with_options(SCRIPT, &options).expect("a page may start a worker from its own site");
    worker.post_message(&wasm_bindgen::module()).expect("a compiled program can be posted");
    worker
}
