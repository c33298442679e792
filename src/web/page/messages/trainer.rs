//! What the trainer says.

use std::sync::Arc;

use leptos::prelude::*;
use web_sys::Blob;

use crate::train::Suggestion;
use crate::web::charts::AttentionMap;
use crate::web::form::Form;
use crate::web::i18n::{Texts, fill};
use crate::web::page::browser;
use crate::web::page::lab::report;
use crate::web::page::state::{Phase, State, Trouble, Wait, phase_of};
use crate::web::protocol::{Data, FromWorker, Go, History, Run};

impl State {
    /// Starts the trainer, and another one in its place if it dies.
    pub fn connect_trainer(self) {
        self.trainer.start(move |message, _, mut files| self.on_trainer(message, files.pop()), move |reason| self.lose_trainer(&reason));
    }

    fn lose_trainer(self, reason: &str) {
        self.fail(fill(self.shell.texts.get_untracked().failures.worker_stopped, &[("reason", &reason)]), false, None);
        // One that never got as far as a device would only die again.
        if self.device.adapter.with_untracked(Option::is_some) {
            self.connect_trainer();
            self.connect_models();
        }
    }

    fn on_trainer(self, message: FromWorker, file: Option<Blob>) {
        if !matches!(message, FromWorker::Preparing(..)) && self.run.preparing.with_untracked(Option::is_some) {
            self.run.preparing.set(None);
        }
        if !matches!(message, FromWorker::AskingReference(..)) && self.run.asking.with_untracked(Option::is_some) {
            self.run.asking.set(None);
        }
        match message {
            FromWorker::Ready(device) => {
                self.device.tuning.set(Some(device.tuning));
                self.device.adapter.set(Some(device));
                if self.run.phase.get_untracked() == Phase::Loading {
                    self.run.phase.set(Phase::Ready);
                }
            }
            FromWorker::SavedRuns(runs) => self.saves.saved.set(runs),
            FromWorker::Storage(storage) => self.saves.storage.set(Some(storage)),
            FromWorker::SavedAfter(step) => self.saves.saved_after.set(Some(step)),
            FromWorker::Began { planned_bytes, created_bytes, read, longest, tuning } => {
                self.device.tuning.set(Some(tuning));
                self.run.bytes.set(Some((planned_bytes, created_bytes)));
                self.run.read.set(read);
                self.settings.longest.set(Some(longest));
            }
            FromWorker::Preparing(done, all) => self.run.preparing.set(Some((done, all))),
            FromWorker::AskingReference(done, all) => self.run.asking.set(Some((done, all))),
            FromWorker::Resumed(run, history) => self.resumed(*run, history, file),
            FromWorker::WaitsForDevice { step, attempts, problem, seconds } => {
                self.run.wait.set(Some(Wait { step, attempts, problem, seconds }));
                self.went_back(step);
                self.run.phase.set(Phase::Waiting);
            }
            FromWorker::Recovered { step, reason, go } => self.recovered(step, &reason, go),
            FromWorker::At(turn, _) => self.run.live.set(turn),
            FromWorker::Buffers(buffers) => self.device.buffers.set(buffers),
            FromWorker::Packed(lengths) => self.step.packed.set(Some(lengths)),
            FromWorker::Sampling(progress, texts) => self.run.sampling.set(Some((progress, texts))),
            FromWorker::Completed(step, group) => self.run.group.set(Some((step, *group))),
            FromWorker::Stepped(report, of_pairs, of_samples) => {
                self.step.packed.set(None);
                self.run.history.update(|history| {
                    history.steps.push(report);
                    history.pairs.extend(of_pairs.map(|of_pairs| (report.step, of_pairs)));
                    history.samples.extend(of_samples.map(|samples| (report.step, samples)));
                });
            }
            FromWorker::Validated(step, validation) => self.run.history.update(|history| history.validations.push((step, validation))),
            FromWorker::ValidatedPairs(step, pairs) => self.run.pairs.set(Some((step, *pairs))),
            FromWorker::Sampled(step, sample) => self.run.sample.set(Some((step, sample))),
            FromWorker::Paused if self.run.has_run.get_untracked() => {
                self.run.sampling.set(None);
                self.run.phase.set(Phase::Paused);
            }
            FromWorker::Paused => {}
            FromWorker::WasReset => {
                self.run.remember(self.settings.form.get_untracked());
                self.forget();
                self.run.has_run.set(false);
                self.run.phase.set(if self.device.adapter.with_untracked(Option::is_some) { Phase::Ready } else { Phase::Error });
                self.recover();
            }
            FromWorker::Inspected(view) => self.step.inspected.set(Some(*view)),
            FromWorker::Looked(step, pattern, texts) => self.run.pattern.set(Some(Arc::new(AttentionMap::new(step, *pattern, texts)))),
            FromWorker::Compared(compared) => self.lab.compared.set(compared),
            FromWorker::Profiled(profile) => {
                self.lab.is_profiling.set(false);
                self.lab.profile.set(Some(*profile));
            }
            FromWorker::Proving(done, all) => self.lab.proving.set(Some((done, all))),
            FromWorker::Proved(report) => {
                self.lab.proving.set(None);
                self.lab.proof.set(Some(*report));
            }
            FromWorker::Searching(share) => self.device.search.set(Some(share)),
            FromWorker::Searched(found, tuning) => {
                // A run keeps the kernels that it began with.
                if !self.run.has_run.get_untracked() {
                    self.device.tuning.set(Some(tuning));
                }
                self.device.search.set(None);
                self.device.found.set(Some(found));
            }
            FromWorker::Ceilings(ceilings) => self.device.ceilings.set(Some(ceilings)),
            FromWorker::SelfChecked(same_bits) => {
                self.device.same_bits.set(Some(same_bits));
                browser::set_root_attribute("data-bits", if same_bits { "same" } else { "other" });
            }
            FromWorker::Reported(text) => report::take(self, text),
            FromWorker::Diverged { step, is_gradient, saved } => {
                self.fail(diverged(self.shell.texts.get_untracked(), step, is_gradient, saved), true, None);
            }
            FromWorker::Failed { message, run_survives, suggestion } => self.fail(message, run_survives, suggestion),
        }
    }

    fn resumed(self, run: Run, history: History, text: Option<Blob>) {
        self.forget();
        if let Data::Text(given) = &run.data {
            self.settings.text.set(Some(given.clone()));
            self.settings.text_file.set_value(text);
        }
        self.settings.form.set(Form::of_run(&run));
        self.saves.saved_after.set(history.steps.last().map(|report| report.step));
        self.run.history.set(history);
        self.run.has_run.set(true);
        self.notices.trouble.set(None);
    }

    /// The run went back to a state that was good: what it did since then is done again.
    fn went_back(self, step: u64) {
        self.lab.is_profiling.set(false);
        self.lab.is_reporting.set(false);
        self.device.search.set(None);
        self.run.history.update(|history| {
            history.steps.retain(|report| report.step <= step);
            history.validations.retain(|(at, _)| *at <= step);
            history.pairs.retain(|(at, _)| *at <= step);
            history.samples.retain(|(at, _)| *at <= step);
        });
        self.run.sampling.set(None);
        self.run.live.set(0);
    }

    fn recovered(self, step: u64, reason: &str, go: Option<Go>) {
        self.went_back(step);
        self.run.wait.set(None);
        let texts = self.shell.texts.get_untracked();
        self.notices.notice.set(Some(fill(texts.controls.recovered, &[("reason", &reason), ("step", &step)])));
        if let Some(go) = go {
            self.run.phase.set(phase_of(go));
        }
    }

    /// Shows an error. What was measured stays.
    pub fn fail(self, message: String, run_survives: bool, suggestion: Option<Suggestion>) {
        self.notices.trouble.set(Some(Trouble { message, suggestion }));
        self.lab.proving.set(None);
        self.device.search.set(None);
        self.lab.is_profiling.set(false);
        self.lab.is_reporting.set(false);
        // A run that waits for a device goes on waiting.
        if run_survives && self.run.wait.with_untracked(Option::is_some) {
            return;
        }
        if !run_survives {
            self.run.remember(self.settings.form.get_untracked());
            self.run.live.set(0);
        }
        self.run.wait.set(None);
        self.run.sampling.set(None);
        self.run.has_run.set(run_survives);
        self.run.phase.set(Phase::Error);
    }

    /// Forgets what a run has done.
    pub fn forget(self) {
        self.run.wait.set(None);
        self.saves.saved_after.set(None);
        self.run.history.set(History::default());
        self.run.sample.set(None);
        self.run.pairs.set(None);
        self.run.sampling.set(None);
        self.run.group.set(None);
        self.settings.longest.set(None);
        self.step.packed.set(None);
        self.run.pattern.set(None);
        self.run.bytes.set(None);
        self.run.read.set(None);
        self.run.live.set(0);
        self.step.cursor.set(None);
        self.step.inspected.set(None);
    }
}

/// Says that a step's loss or gradient is not finite, and what is left.
fn diverged(t: &Texts, step: u64, is_gradient: bool, saved: Option<u64>) -> String {
    let what = if is_gradient { t.controls.diverged_gradient } else { t.controls.diverged_loss };
    let left = if saved.is_some() { t.controls.diverged_saved } else { t.controls.diverged_unsaved };
    format!("{} {}", fill(what, &[("step", &step)]), fill(left, &[("saved", &saved.unwrap_or(0))]))
}
