//! What the visitor does.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use super::browser;
use super::state::{Phase, State, Trouble, phase_of};
use crate::web::form::{Command, Field, Form, Need};
use crate::web::i18n::fill;
use crate::web::metrics::Quantity;
use crate::web::model_protocol::{Origin, Vocabulary};
use crate::web::protocol::{AtHand, Data, Go, Run, Start, ToWorker};

/// What the budget becomes if a model that is opened takes more, as a share of its peak.
const ROOM: f64 = 1.25;

impl State {
    /// Starts a run, or goes on with the one there is.
    pub fn go(self, go: Go) {
        let is_too_early = matches!(self.run.phase.get_untracked(), Phase::Loading | Phase::Resuming | Phase::Waiting);
        if is_too_early || self.settings.texts_being_read.get_untracked() > 0 {
            return;
        }
        if self.run.has_run.get_untracked() {
            self.send(&ToWorker::Continue(go));
        } else {
            let Some(run) = self.new_run() else { return };
            self.send(&ToWorker::Begin(Box::new(run), go));
            self.forget();
            self.run.has_run.set(true);
        }
        self.notices.trouble.set(None);
        self.notices.notice.set(None);
        self.step.cursor.set(None);
        self.step.inspected.set(None);
        self.run.phase.set(phase_of(go));
    }

    /// Starts a run with other settings.
    pub fn start_with(self, form: Form) {
        self.run.look.update(|look| look.quantity = Quantity::Reward);
        self.settings.form.set(form);
        self.go(Go::Continuous);
    }

    /// The run that the form says. If there is none, the visitor is told why.
    pub fn new_run(self) -> Option<Run> {
        let (text, start) = (self.settings.text.get_untracked(), self.models.start());
        let adapter = self.settings.adapter.get_untracked();
        match self.settings.form.with_untracked(|form| form.run(text, start, &adapter)) {
            Ok(run) if !self.models.fits(&run.spec) => {
                self.show_error(self.shell.texts.get_untracked().models.other_sizes);
                None
            }
            Ok(run) => {
                if run.is_encoded() {
                    self.ensure_models();
                }
                Some(run)
            }
            Err(error) => {
                self.show_error(&error.to_string());
                None
            }
        }
    }

    /// Tells the trainer something. The text of a run goes with it as a file.
    pub fn send(self, message: &ToWorker) {
        let has_text = message.run().is_some_and(|run| matches!(run.data, Data::Text(_)));
        let files = self.settings.text_file.with_value(|file| file.iter().filter(|_| has_text).cloned().collect::<Vec<_>>());
        self.trainer.send_with(message, &files, None);
    }

    /// Lets the model worker give the visitor what the run has learned.
    pub fn export(self) {
        self.ensure_models();
        self.send(&ToWorker::Export);
    }

    /// Lets the model worker give the visitor the directory of the run, with which the program goes on.
    pub fn export_run(self) {
        self.ensure_models();
        self.send(&ToWorker::ExportRun);
    }

    /// Goes on with a run of the program, in the files of its directory.
    pub fn open_run(self, names: Vec<String>, mut files: Vec<Blob>) {
        if self.run.has_run.get_untracked() || self.run.phase.get_untracked().is_busy() {
            return self.show_error(self.shell.texts.get_untracked().saving.reset_first);
        }
        let form = self.settings.form.get_untracked();
        let budget = match form.budget() {
            Ok(budget) => budget,
            Err(error) => return self.show_error(&error.to_string()),
        };
        let text = self.settings.text.get_untracked();
        files.extend(self.settings.text_file.get_value().filter(|_| text.is_some()));
        let config = self.models.opened.with_untracked(|opened| opened.as_ref().map(|opened| opened.config.clone()));
        let (sample_every, prompt) = (form.get(Field::SampleEvery).trim().parse().unwrap_or(0), form.get(Field::Prompt).to_owned());
        let at_hand = AtHand { start: self.models.start(), config, text, sample_every, prompt, budget };
        self.recover();
        self.notices.notice.set(None);
        self.run.phase.set(Phase::Resuming);
        self.trainer.send_with(&ToWorker::OpenRun(names, Box::new(at_hand)), &files, None);
    }

    /// Copies the command that starts the run of the form in a terminal. Where the browser refuses, the visitor can copy it himself.
    pub fn copy_command(self) {
        let t = self.shell.texts.get_untracked();
        let (text, start) = (self.settings.text.get_untracked(), self.models.start());
        let Command { line, needs } = match self.settings.form.with_untracked(|form| form.command(text, start)) {
            Ok(command) => command,
            Err(error) => return self.show_error(&error.to_string()),
        };
        let hint = |need: Need| match need {
            Need::Text(name) => fill(t.controls.command_text, &[("name", &name)]),
            Need::Model(name) => fill(t.controls.command_model, &[("name", &name)]),
            Need::Adapters(name) => fill(t.controls.command_adapters, &[("name", &name)]),
        };
        let hints = needs.into_iter().map(hint).collect::<Vec<_>>().join(" ");
        spawn_local(async move {
            let said = if browser::copy(&line).await { t.controls.command_copied.to_owned() } else { line };
            self.notices.notice.set(Some(format!("{said} {hints}").trim_end().to_owned()));
        });
    }

    /// Goes on with a saved run. Adapters alone are no model: the one that they are on has to be open, and so has the one whose tokenizer
    /// is used.
    pub fn resume(self, id: String) {
        let about = self.saves.saved.with_untracked(|saved| saved.iter().find(|run| run.id == id).and_then(|run| run.about.clone()));
        let Some(about) = about else { return };
        let run = about.run;
        let needs_model = run.spec.adapters().is_some() || run.vocabulary == Vocabulary::Model;
        let is_open =
            |fingerprint| self.models.opened.with_untracked(|opened| opened.as_ref().is_some_and(|o| o.fingerprint == fingerprint));
        let was_fetched = self.models.resuming.get_untracked().is_some();
        self.stop_resuming();
        self.recover();
        self.notices.notice.set(None);
        match &run.start {
            Start::Opened { origin, fingerprint, .. } if needs_model && !is_open(*fingerprint) => match origin {
                Origin::Address(address) if !was_fetched => {
                    self.models.resuming.set(Some(id));
                    self.run.phase.set(Phase::Resuming);
                    self.fetch_model(address.clone());
                }
                origin => {
                    self.show_error(&fill(self.shell.texts.get_untracked().models.needs_model, &[("name", &origin.name())]));
                }
            },
            _ => {
                if run.is_encoded() {
                    self.ensure_models();
                }
                self.run.phase.set(Phase::Resuming);
                self.send(&ToWorker::Resume(id));
            }
        }
    }

    /// No saved run waits for its model any more.
    pub fn stop_resuming(self) {
        if self.models.resuming.get_untracked().is_some() {
            self.models.resuming.set(None);
            self.run.phase.set(Phase::Ready);
        }
    }

    /// Raises the budget so far that a step of the model that was opened fits.
    pub fn leave_room(self) {
        let (Some(peak), Some(budget)) = (untrack(|| self.step.peak_bytes()), self.settings.budget.get_untracked()) else { return };
        if peak > budget {
            self.settings.form.update(|form| form.set_budget(ROOM * peak as f64));
        }
    }

    /// Says what is wrong with what the visitor did. A run goes on.
    pub fn show_error(self, message: &str) {
        self.notices.trouble.set(Some(Trouble { message: message.to_owned(), suggestion: None }));
    }

    /// Takes an error back, unless it is that there is no device.
    pub fn recover(self) {
        if self.device.adapter.with_untracked(Option::is_none) {
            return;
        }
        self.notices.trouble.set(None);
        if self.run.phase.get_untracked() == Phase::Error {
            self.run.phase.set(if self.run.has_run.get_untracked() { Phase::Paused } else { Phase::Ready });
        }
    }

    /// What was wrong with a run that did not begin is out of date as soon as the visitor changes something.
    pub fn recover_when_changed(self) {
        Effect::new(move |_| {
            self.settings.form.track();
            self.recover();
            self.step.cursor.set(None);
        });
    }

    /// Other tabs save runs, too.
    pub fn list_saved_when_shown(self) {
        window_event_listener_untyped("visibilitychange", move |_| {
            if browser::is_visible() {
                self.send(&ToWorker::ListSaved);
            }
        });
    }
}
