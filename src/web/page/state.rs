//! What the page knows, and how that changes.

use leptos::prelude::*;

use super::link::Link;
use crate::step::Limits;
use crate::train::{StepReport, Validation};
use crate::web::form::{Form, Plan, SourceChoice};
use crate::web::picture::Picture;
use crate::web::protocol::{Device, FromWorker, Go, ToWorker};

/// Where the page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Loading,
    Ready,
    Training,
    Paused,
    Error,
}

/// A text that the visitor gave.
#[derive(Clone)]
pub struct GivenText {
    pub name: String,
    pub text: String,
}

/// Everything that is shown.
#[derive(Clone, Copy)]
pub struct State {
    pub form: RwSignal<Form>,
    pub text: RwSignal<Option<GivenText>>,
    pub phase: RwSignal<Phase>,
    pub device: RwSignal<Option<Device>>,
    pub error: RwSignal<Option<String>>,
    /// Is there a run, going or paused?
    pub has_run: RwSignal<bool>,
    pub steps: RwSignal<Vec<StepReport>>,
    pub validations: RwSignal<Vec<(u64, Validation)>>,
    pub sample: RwSignal<Option<(u64, String)>>,
    /// Bytes planned and created.
    pub run_bytes: RwSignal<Option<(u64, u64)>>,
    /// The picture of the form's plan, or what is wrong with the form.
    pub picture: Memo<Result<Picture, String>>,
    link: Link,
}

impl State {
    pub fn new() -> Self {
        let form = RwSignal::new(Form::default());
        let device = RwSignal::new(None);
        let plan = Memo::new(move |_| form.with(Form::plan).map_err(|error| error.to_string()));
        let state = State {
            form,
            device,
            text: RwSignal::new(None),
            phase: RwSignal::new(Phase::Loading),
            error: RwSignal::new(None),
            has_run: RwSignal::new(false),
            steps: RwSignal::new(Vec::new()),
            validations: RwSignal::new(Vec::new()),
            sample: RwSignal::new(None),
            run_bytes: RwSignal::new(None),
            picture: Memo::new(move |_| plan.with(|plan| picture(plan, device))),
            link: Link::new(),
        };
        state.link.connect(state);
        // What was wrong with a run that did not begin is out of date as soon as the visitor changes something.
        Effect::new(move |_| {
            form.track();
            state.mend();
        });
        state
    }

    /// What is wrong, if anything is.
    pub fn complaint(self) -> Option<String> {
        self.error.get().or_else(|| self.picture.with(|picture| picture.as_ref().err().cloned()))
    }

    /// Starts a run, or goes on with the one there is.
    pub fn go(self, go: Go) {
        if self.has_run.get_untracked() {
            self.link.send(&ToWorker::Continue(go));
        } else {
            let text = self.text.with_untracked(|text| text.as_ref().map(|given| given.text.clone()));
            match self.form.with_untracked(|form| form.run(text)) {
                Ok(run) => self.link.send(&ToWorker::Begin(Box::new(run), go)),
                Err(error) => return self.error.set(Some(error.to_string())),
            }
            self.forget();
            self.has_run.set(true);
        }
        self.error.set(None);
        self.phase.set(Phase::Training);
    }

    pub fn pause(self) {
        self.link.send(&ToWorker::Pause);
    }

    pub fn reset(self) {
        self.link.send(&ToWorker::Reset);
    }

    /// Takes a text of the visitor's.
    pub fn take_text(self, name: String, text: String) {
        self.mend();
        self.text.set(Some(GivenText { name, text }));
        self.form.update(|form| form.source = SourceChoice::Text);
    }

    /// Takes an error back, unless it is that there is no device.
    fn mend(self) {
        if self.device.with_untracked(Option::is_none) {
            return;
        }
        self.error.set(None);
        if self.phase.get_untracked() == Phase::Error {
            self.phase.set(if self.has_run.get_untracked() { Phase::Paused } else { Phase::Ready });
        }
    }

    /// What the worker said.
    pub fn hear(self, message: FromWorker) {
        match message {
            FromWorker::Ready(device) => {
                self.device.set(Some(device));
                if self.phase.get_untracked() == Phase::Loading {
                    self.phase.set(Phase::Ready);
                }
            }
            FromWorker::Began { planned_bytes, created_bytes } => self.run_bytes.set(Some((planned_bytes, created_bytes))),
            FromWorker::Stepped(report) => self.steps.update(|steps| steps.push(report)),
            FromWorker::Validated(step, validation) => self.validations.update(|all| all.push((step, validation))),
            FromWorker::Sampled(step, text) => self.sample.set(Some((step, text))),
            FromWorker::Paused if self.has_run.get_untracked() => self.phase.set(Phase::Paused),
            FromWorker::Paused => {}
            FromWorker::WasReset => {
                self.forget();
                self.has_run.set(false);
                self.phase.set(if self.device.with_untracked(Option::is_some) { Phase::Ready } else { Phase::Error });
                self.mend();
            }
            FromWorker::Failed { message, run_survives } => self.fail(message, run_survives),
        }
    }

    /// Shows an error. What was measured stays.
    pub fn fail(self, message: String, run_survives: bool) {
        self.error.set(Some(message));
        self.has_run.set(run_survives);
        self.phase.set(Phase::Error);
    }

    fn forget(self) {
        self.steps.set(Vec::new());
        self.validations.set(Vec::new());
        self.sample.set(None);
        self.run_bytes.set(None);
    }
}

fn picture(plan: &Result<Plan, String>, device: RwSignal<Option<Device>>) -> Result<Picture, String> {
    let limits = device
        .with(|device| device.as_ref().map_or(Limits::NONE, |device| Limits { buffer: device.max_buffer, binding: device.max_binding }));
    plan.as_ref().map(|plan| Picture::of(plan, limits)).map_err(String::clone)
}
