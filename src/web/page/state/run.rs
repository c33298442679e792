//! The run in progress, and those that are over.

use std::sync::Arc;

use leptos::prelude::*;

use super::settings::Settings;
use crate::train::{RoundProgress, Summary};
use crate::web::charts::AttentionMap;
use crate::web::form::{Field, Form};
use crate::web::metrics::Quantity;
use crate::web::protocol::{Go, GroupView, History, PairsView, Sample};

/// Where the page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Loading,
    Ready,
    /// A saved run is being opened.
    Resuming,
    Training,
    Stepping,
    /// The device is lost, and the run waits for another one.
    Waiting,
    Paused,
    Error,
}

impl Phase {
    /// As tests and the style sheet know it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Loading => "loading",
            Phase::Ready => "ready",
            Phase::Resuming => "resuming",
            Phase::Training => "training",
            Phase::Stepping => "stepping",
            Phase::Waiting => "waiting",
            Phase::Paused => "paused",
            Phase::Error => "error",
        }
    }

    /// Is the device at work for the run?
    pub fn is_going(self) -> bool {
        matches!(self, Phase::Training | Phase::Stepping)
    }

    /// Can nothing else be begun now?
    pub fn is_busy(self) -> bool {
        self.is_going() || matches!(self, Phase::Loading | Phase::Resuming | Phase::Waiting)
    }
}

/// What is shown while a run goes.
pub fn phase_of(go: Go) -> Phase {
    if matches!(go, Go::Continuous | Go::OneStep) { Phase::Training } else { Phase::Stepping }
}

/// How a run waits for a device.
#[derive(Clone, PartialEq)]
pub struct Wait {
    /// The step after which it goes on.
    pub step: u64,
    /// Attempts so far.
    pub attempts: u32,
    /// What failed at the last one; `None` if there was no adapter.
    pub problem: Option<String>,
    /// Seconds to the next one.
    pub seconds: u32,
}

/// How the visitor wants the curves.
#[derive(Clone, Copy, PartialEq)]
pub struct CurveLook {
    pub quantity: Quantity,
    pub raw: bool,
    pub smoothed: bool,
    pub log: bool,
}

/// A run that is over.
#[derive(Clone)]
pub struct PastRun {
    /// Its number, from 1.
    pub number: usize,
    /// Its settings.
    pub form: Form,
    /// Bytes of its buffers.
    pub bytes: u64,
    /// What it did.
    pub history: History,
    /// Are its curves laid over the current ones?
    pub is_shown: RwSignal<bool>,
}

/// The run in progress: how it stands and what it has done; and earlier runs.
#[derive(Clone, Copy)]
pub struct RunState {
    pub phase: RwSignal<Phase>,
    /// Is there a run, going or paused?
    pub has_run: RwSignal<bool>,
    /// Are all of its steps done?
    pub is_over: Memo<bool>,
    /// The kernels of the run that are compiled, of all, while they are.
    pub preparing: RwSignal<Option<(u32, u32)>>,
    /// The batches of pairs of which the reference was asked, of all, while it is.
    pub asking: RwSignal<Option<(u32, u32)>>,
    pub wait: RwSignal<Option<Wait>>,
    /// The turn that comes next, as the device told; 0 between steps.
    pub live: RwSignal<u64>,
    pub history: RwSignal<History>,
    pub sample: RwSignal<Option<(u64, Sample)>>,
    /// Held-out pairs, by the step after which they were looked at.
    pub pairs: RwSignal<Option<(u64, PairsView)>>,
    /// Completions that are being sampled: how far, and the texts so far.
    pub sampling: RwSignal<Option<(RoundProgress, Vec<String>)>>,
    /// Completions, by the step that has learned from them.
    pub group: RwSignal<Option<(u64, GroupView)>>,
    pub pattern: RwSignal<Option<Arc<AttentionMap>>>,
    /// The layer and the head whose attention is looked at.
    pub head: RwSignal<[u32; 2]>,
    /// Bytes planned and created.
    pub bytes: RwSignal<Option<(u64, u64)>>,
    /// What the run's data came to.
    pub read: RwSignal<Option<Summary>>,
    pub past: RwSignal<Vec<PastRun>>,
    pub look: RwSignal<CurveLook>,
}

impl RunState {
    pub fn new(settings: Settings) -> Self {
        let has_run = RwSignal::new(false);
        let history = RwSignal::new(History::default());
        let last_step = move || history.with(|history| history.steps.last().map(|report| report.step));
        let steps = move || settings.form.with(|form| form.get(Field::Steps).trim().parse().unwrap_or(u64::MAX));
        RunState {
            phase: RwSignal::new(Phase::Loading),
            has_run,
            is_over: Memo::new(move |_| has_run.get() && last_step().is_some_and(|step| step >= steps())),
            preparing: RwSignal::new(None),
            asking: RwSignal::new(None),
            wait: RwSignal::new(None),
            live: RwSignal::new(0),
            history,
            sample: RwSignal::new(None),
            pairs: RwSignal::new(None),
            sampling: RwSignal::new(None),
            group: RwSignal::new(None),
            pattern: RwSignal::new(None),
            head: RwSignal::new([0, 0]),
            bytes: RwSignal::new(None),
            read: RwSignal::new(None),
            past: RwSignal::new(Vec::new()),
            look: RwSignal::new(CurveLook { quantity: Quantity::Loss, raw: true, smoothed: true, log: false }),
        }
    }

    /// Can the numbers of a tensor be looked at?
    pub fn stands_within_a_step(self) -> bool {
        self.has_run.get() && self.live.get() > 0 && !self.phase.get().is_going()
    }

    /// Keeps the run that ends now, if it did anything.
    pub fn remember(self, form: Form) {
        let history = self.history.get_untracked();
        let number = self.past.with_untracked(|past| past.last().map_or(1, |run| run.number + 1));
        if history.steps.is_empty() || self.past.with_untracked(|past| past.last().is_some_and(|run| run.history == history)) {
            return;
        }
        let bytes = self.bytes.get_untracked().map_or(0, |(_, created)| created);
        self.past.update(|past| past.push(PastRun { number, form, bytes, history, is_shown: RwSignal::new(false) }));
    }
}
