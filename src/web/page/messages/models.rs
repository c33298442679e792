//! What the model worker is told, and what it says. It is started when a visitor first wants something of it.

use leptos::prelude::*;
use web_sys::{Blob, File, MessageChannel};

use crate::model::archive::Kind;
use crate::web::i18n::fill;
use crate::web::model_protocol::{FromModelWorker, ToModelWorker, Vocabulary};
use crate::web::page::browser;
use crate::web::page::state::State;
use crate::web::protocol::ToWorker;

impl State {
    /// Starts the model worker, if it is not there.
    pub fn ensure_models(self) {
        if self.models.worker.is_running() {
            return;
        }
        self.models
            .worker
            .start(move |message, bytes, files| self.on_models(message, &bytes, files), move |reason| self.lose_models(&reason));
        self.connect_models();
    }

    fn lose_models(self, reason: &str) {
        self.models.opened.set(None);
        self.models.adapters.set(None);
        self.models.rest();
        self.stop_resuming();
        self.send(&ToWorker::ModelWorker);
        self.show_error(&fill(self.shell.texts.get_untracked().failures.model_worker_stopped, &[("reason", &reason)]));
    }

    /// Gives the model worker and the trainer a line to one another.
    pub fn connect_models(self) {
        if self.models.worker.is_running() {
            let channel = MessageChannel::new().expect("a browser that has workers has channels");
            self.models.worker.send_with(&ToModelWorker::Trainer, &[], Some(&channel.port1()));
            self.trainer.send_with(&ToWorker::ModelWorker, &[], Some(&channel.port2()));
        }
    }

    /// Tells the model worker something.
    pub fn tell_models(self, message: &ToModelWorker) {
        self.ensure_models();
        self.models.worker.send(message);
    }

    /// Opens what is in these files.
    pub fn open_files(self, kind: Kind, files: Vec<(String, File)>) {
        if files.is_empty() {
            return;
        }
        self.notices.trouble.set(None);
        self.models.is_busy.set(true);
        let (names, files): (Vec<String>, Vec<Blob>) = files.into_iter().map(|(name, file)| (name, file.into())).unzip();
        self.ensure_models();
        self.models.worker.send_with(&ToModelWorker::Open(kind, names), &files, None);
    }

    /// Opens the model at an address.
    pub fn fetch_model(self, address: String) {
        self.notices.trouble.set(None);
        self.models.is_busy.set(true);
        self.tell_models(&ToModelWorker::Fetch(address));
    }

    /// Starts from the seed again.
    pub fn close_model(self) {
        self.models.opened.set(None);
        self.models.adapters.set(None);
        if self.settings.form.with_untracked(|form| form.vocabulary == Vocabulary::Model) {
            self.settings.form.update(|form| form.vocabulary = Vocabulary::Bytes);
        }
    }

    fn on_models(self, message: FromModelWorker, bytes: &[u8], files: Vec<Blob>) {
        let (models, texts) = (self.models, self.shell.texts.get_untracked());
        match message {
            FromModelWorker::Cached(cached) => models.cached.set(cached),
            FromModelWorker::Fetching(fetching) => models.fetching.set(Some(fetching)),
            FromModelWorker::Stopped => {
                models.rest();
                self.stop_resuming();
                self.notices.notice.set(Some(texts.models.stopped.to_owned()));
            }
            FromModelWorker::Opened(opened) => {
                models.rest();
                models.adapters.set(None);
                self.notices.trouble.set(None);
                let resuming = models.resuming.get_untracked();
                if resuming.is_none() {
                    self.settings.form.update(|form| form.take_model(&opened.config, opened.has_tokenizer));
                }
                models.opened.set(Some(*opened));
                self.leave_room();
                if let Some(id) = resuming {
                    self.resume(id);
                }
            }
            FromModelWorker::OpenedAdapters(lora) => {
                models.rest();
                self.notices.trouble.set(None);
                self.settings.form.update(|form| form.take_adapters(&lora));
                models.adapters.set(Some(lora));
            }
            FromModelWorker::Packed(step) => {
                browser::download(&format!("streambp-step-{step}.zip"), "application/zip", bytes);
                self.notices.notice.set(Some(fill(texts.saving.exported, &[("step", &step)])));
            }
            FromModelWorker::PackedRun(step) => {
                browser::download(&format!("streambp-run-step-{step}.zip"), "application/zip", bytes);
                self.notices.notice.set(Some(fill(texts.saving.run_exported, &[("step", &step)])));
            }
            FromModelWorker::RunFiles(names) => {
                models.rest();
                self.open_run(names, files);
            }
            FromModelWorker::Failed(message) => {
                models.rest();
                self.stop_resuming();
                self.show_error(&message);
            }
        }
    }
}
