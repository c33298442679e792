//! Models in files: what is open, and what this browser keeps.

use leptos::prelude::*;

use crate::model::{Lora, ModelSpec};
use crate::web::model_protocol::{CachedModel, Fetching, Opened, ToModelWorker};
use crate::web::page::worker_client::WorkerClient;
use crate::web::protocol::Start;

/// The script that starts the model worker.
const SCRIPT: &str = "start-model-worker.js";

/// What is known of models in files, and the worker that reads them.
#[derive(Clone, Copy)]
pub struct Models {
    pub worker: WorkerClient<ToModelWorker>,
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

impl Models {
    pub fn new() -> Self {
        Models {
            worker: WorkerClient::of_script(SCRIPT),
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

    /// Are the model and the adapters that are open of these sizes?
    pub fn fits(self, spec: &ModelSpec) -> bool {
        let has_config = self.opened.with_untracked(|opened| opened.as_ref().is_none_or(|opened| opened.config == spec.config));
        let has_lora = |lora: &Option<Lora>| lora.is_none() || spec.adapters().is_none_or(|own| lora.as_ref() == Some(own));
        has_config && self.adapters.with_untracked(has_lora)
    }

    /// Nothing is being opened any more.
    pub fn rest(self) {
        self.is_busy.set(false);
        self.fetching.set(None);
    }
}
