//! The worker's side: holds the device and the run, does what the page says, reports what comes of it.

mod benchmark;
mod ceilings;
mod completions;
mod dataset;
mod event;
mod inspect;
mod keeping;
mod kernels;
mod locks;
mod messages;
mod model_client;
mod opened_run;
mod pairs;
mod recovery;
mod reference;
mod run_directory;
mod running;
mod saved_runs;
mod saving;
mod self_check;
mod serve;
mod state;
mod waiting;

use futures_channel::mpsc;
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::codec;
use super::protocol::ToWorker;
use event::Event;
use kernels::Kernels;
use messages::Watch;
use model_client::ModelClient;
use reference::Reference;
use state::Worker;

/// Starts to listen.
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let (sender, inbox) = mpsc::unbounded();
    let to_itself = sender.clone();
    let models = ModelClient::default();
    let lent = models.clone();
    let kernels = Kernels::default();
    let looked_for = kernels.clone();
    let reference = Reference::default();
    let asked = reference.clone();
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        match codec::unpack(&event.data()).0 {
            // At once: the worker may be waiting for a model worker that is gone, or for the end of a search.
            ToWorker::ModelWorker => lent.connect(event.ports().get(0).dyn_into().ok()),
            ToWorker::SkipSearch => looked_for.skip(),
            message => {
                if message == ToWorker::Reset {
                    asked.stop();
                }
                sender.unbounded_send(Event::Message(message, codec::files(&event.data()))).expect("the worker never stops listening");
            }
        }
    });
    scope.set_onmessage(Some(receive.into_js_value().unchecked_ref()));
    let watch = Watch::start(to_itself.clone());
    let worker = Worker {
        gpu: None,
        running: None,
        waiting: None,
        directory: None,
        storage: None,
        saved: None,
        lists_again: false,
        models,
        kernels,
        reference,
        is_checked: false,
        ceilings: None,
        watch,
        to_itself,
    };
    wasm_bindgen_futures::spawn_local(worker.serve(inbox));
}
