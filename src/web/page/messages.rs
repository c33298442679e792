//! What the worker says, and what the page knows then.

use std::sync::Arc;

use leptos::prelude::*;
use web_sys::Blob;

use super::run_history;
use super::state::{Phase, State, Trouble, Wait, phase_of};
use crate::train::Suggestion;
use crate::web::charts::AttentionMap;
use crate::web::form::Form;
use crate::web::i18n::{Texts, fill};
use crate::web::protocol::{Data, FromWorker, Go, History, Run};

impl State {
    /// What the worker said.
    pub fn on_message(self, message: FromWorker, file: Option<Blob>) {
        match message {
            FromWorker::Ready(device) => {
                self.device.set(Some(device));
                if self.phase.get_untracked() == Phase::Loading {
                    self.phase.set(Phase::Ready);
                }
            }
            FromWorker::SavedRuns(runs) => self.saved.set(runs),
            FromWorker::Storage(storage) => self.storage.set(Some(storage)),
            FromWorker::SavedAfter(step) => self.saved_after.set(Some(step)),
            FromWorker::Began { planned_bytes, created_bytes, read } => {
                self.run_bytes.set(Some((planned_bytes, created_bytes)));
                self.read.set(read);
            }
            FromWorker::Resumed(run, history) => self.resumed(*run, history, file),
            FromWorker::WaitsForDevice { step, attempts, problem, seconds } => {
                self.wait.set(Some(Wait { step, attempts, problem, seconds }));
                self.went_back(step);
                self.phase.set(Phase::Waiting);
            }
            FromWorker::Recovered { step, reason, go } => self.recovered(step, &reason, go),
            FromWorker::At(turn, _) => self.live.set(turn),
            FromWorker::Buffers(buffers) => self.buffers.set(buffers),
            FromWorker::Stepped(report) => self.history.update(|history| history.steps.push(report)),
            FromWorker::Validated(step, validation) => self.history.update(|history| history.validations.push((step, validation))),
            FromWorker::Sampled(step, sample) => self.sample.set(Some((step, sample))),
            FromWorker::Paused if self.has_run.get_untracked() => self.phase.set(Phase::Paused),
            FromWorker::Paused => {}
            FromWorker::WasReset => {
                run_history::remember(self);
                self.forget();
                self.has_run.set(false);
                self.phase.set(if self.device.with_untracked(Option::is_some) { Phase::Ready } else { Phase::Error });
                self.recover();
            }
            FromWorker::Inspected(view) => self.view.set(Some(*view)),
            FromWorker::Looked(step, pattern, texts) => self.pattern.set(Some(Arc::new(AttentionMap::new(step, *pattern, texts)))),
            FromWorker::Compared(compared) => self.compared.set(compared),
            FromWorker::Profiled(profile) => {
                self.is_profiling.set(false);
                self.profile.set(Some(*profile));
            }
            FromWorker::Proving(done, all) => self.proving.set(Some((done, all))),
            FromWorker::Proved(report) => {
                self.proving.set(None);
                self.proof.set(Some(*report));
            }
            FromWorker::Searching(share) => self.search.set(Some(share)),
            FromWorker::Searched(found) => {
                self.search.set(None);
                self.found.set(Some(found));
            }
            FromWorker::Peak(gflops) => self.peak_gflops.set(Some(gflops)),
            FromWorker::Diverged { step, is_gradient, saved } => {
                self.fail(diverged(self.texts.get_untracked(), step, is_gradient, saved), true, None);
            }
            FromWorker::Failed { message, run_survives, suggestion } => self.fail(message, run_survives, suggestion),
        }
    }

    fn resumed(self, run: Run, history: History, text: Option<Blob>) {
        self.forget();
        if let Data::Text(given) = &run.data {
            self.text.set(Some(given.clone()));
            self.text_file.set_value(text);
        }
        self.form.set(Form::of_run(&run));
        self.saved_after.set(history.steps.last().map(|report| report.step));
        self.history.set(history);
        self.has_run.set(true);
        self.trouble.set(None);
    }

    /// The run went back to a state that was good: what it did since then is done again.
    fn went_back(self, step: u64) {
        self.is_profiling.set(false);
        self.search.set(None);
        self.history.update(|history| {
            history.steps.retain(|report| report.step <= step);
            history.validations.retain(|(at, _)| *at <= step);
        });
        self.live.set(0);
    }

    fn recovered(self, step: u64, reason: &str, go: Option<Go>) {
        self.went_back(step);
        self.wait.set(None);
        let texts = self.texts.get_untracked();
        self.notice.set(Some(fill(texts.controls.recovered, &[("reason", &reason), ("step", &step)])));
        if let Some(go) = go {
            self.phase.set(phase_of(go));
        }
    }

    /// Shows an error. What was measured stays.
    pub fn fail(self, message: String, run_survives: bool, suggestion: Option<Suggestion>) {
        self.trouble.set(Some(Trouble { message, suggestion }));
        self.proving.set(None);
        self.search.set(None);
        self.is_profiling.set(false);
        // A run that waits for a device goes on waiting.
        if run_survives && self.wait.with_untracked(Option::is_some) {
            return;
        }
        if !run_survives {
            run_history::remember(self);
            self.live.set(0);
        }
        self.wait.set(None);
        self.has_run.set(run_survives);
        self.phase.set(Phase::Error);
    }

    /// Forgets what a run has done.
    pub fn forget(self) {
        self.wait.set(None);
        self.saved_after.set(None);
        self.history.set(History::default());
        self.sample.set(None);
        self.pattern.set(None);
        self.run_bytes.set(None);
        self.read.set(None);
        self.live.set(0);
        self.cursor.set(None);
        self.view.set(None);
    }
}

/// Says that a step's loss or gradient is not finite, and what is left.
fn diverged(t: &Texts, step: u64, is_gradient: bool, saved: Option<u64>) -> String {
    let what = if is_gradient { t.controls.diverged_gradient } else { t.controls.diverged_loss };
    let left = if saved.is_some() { t.controls.diverged_saved } else { t.controls.diverged_unsaved };
    format!("{} {}", fill(what, &[("step", &step)]), fill(left, &[("saved", &saved.unwrap_or(0))]))
}
