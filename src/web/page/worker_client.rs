//! The page's line to a worker: the one that trains, the one that reads models, and the one that plans.

use std::marker::PhantomData;

use leptos::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, ErrorEvent, Event, MessageEvent, MessagePort, Worker, WorkerOptions, WorkerType};

use crate::web::codec;

/// The script that starts a worker with this page's own program.
const OWN_SCRIPT: &str = "start-worker.js";

/// A worker that is told messages of the type `M`. Browsers' objects stay on the page's own thread.
pub struct WorkerClient<M: 'static> {
    worker: StoredValue<Option<Worker>, LocalStorage>,
    script: &'static str,
    /// What it does, if it runs this page's own program.
    role: Option<&'static str>,
    message: PhantomData<fn(M)>,
}

impl<M> Clone for WorkerClient<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for WorkerClient<M> {}

impl<M: Serialize> WorkerClient<M> {
    /// A worker that will run this page's own program in that role.
    pub fn in_role(role: &'static str) -> Self {
        WorkerClient { worker: StoredValue::new_local(None), script: OWN_SCRIPT, role: Some(role), message: PhantomData }
    }

    /// A worker that will run a program of its own, which that script starts.
    pub fn of_script(script: &'static str) -> Self {
        WorkerClient { worker: StoredValue::new_local(None), script, role: None, message: PhantomData }
    }

    /// Is it there?
    pub fn is_running(self) -> bool {
        self.worker.with_value(Option::is_some)
    }

    /// Starts the worker, if it is not there. `on_message` is given what it says, with the bytes and the files beside it; `on_death` the
    /// browser's reason if it ends. It can be started again then.
    pub fn start<A: DeserializeOwned>(self, on_message: impl Fn(A, Vec<u8>, Vec<Blob>) + 'static, on_death: impl Fn(String) + 'static) {
        if self.is_running() {
            return;
        }
        let worker = spawn(self.script, self.role);
        let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let (message, bytes) = codec::unpack(&event.data());
            on_message(message, bytes, codec::files(&event.data()));
        });
        let died = Closure::<dyn Fn(Event)>::new(move |event: Event| {
            self.worker.with_value(|worker| worker.iter().for_each(Worker::terminate));
            self.worker.set_value(None);
            // A script that cannot be loaded is an event without a message.
            on_death(event.dyn_ref().map_or_else(|| self.script.to_owned(), ErrorEvent::message));
        });
        worker.set_onmessage(Some(hear.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(died.into_js_value().unchecked_ref()));
        self.worker.set_value(Some(worker));
    }

    /// Tells it something.
    pub fn send(self, message: &M) {
        self.send_with(message, &[], None);
    }

    /// Tells it something, with files and perhaps a port beside the message. Files are not read for that.
    pub fn send_with(self, message: &M, files: &[Blob], port: Option<&MessagePort>) {
        let (pair, handed_over) = codec::pack(message, &[]);
        let message = codec::with_files(&pair, files);
        if let Some(port) = port {
            handed_over.push(port);
        }
        let post = |worker: &Worker| worker.post_message_with_transfer(&message, &handed_over).expect("messages can be posted");
        self.worker.with_value(|worker| worker.iter().for_each(post));
    }
}

/// Starts a worker. One that runs this page's program is handed it: it need not be loaded and compiled again.
fn spawn(script: &str, role: Option<&str>) -> Worker {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    role.iter().for_each(|role| options.set_name(role));
    let worker = Worker::new_with_options(script, &options).expect("a page may start a worker from its own site");
    if role.is_some() {
        worker.post_message(&wasm_bindgen::module()).expect("a compiled program can be posted");
    }
    worker
}
