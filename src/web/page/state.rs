//! What the page knows, and how that changes.

use std::sync::Arc;

use leptos::prelude::*;
use web_sys::Blob;

use super::model_client::ModelClient;
use super::trainer_client::TrainerClient;
use super::{addressing, browser, curves, run_history};
use crate::step::{Granularity, Limits, StrategyKind};
use crate::train::{Profile, Suggestion, Summary, VerifyReport};
use crate::web::charts::{AttentionMap, Planned, StepGrid, Timeline};
use crate::web::form::{Field, Form, Plan};
use crate::web::i18n::Texts;
use crate::web::protocol::{Data, Device, GivenText, Go, History, Run, Sample, SavedRun, Storage, TensorView, ToWorker};
use crate::web::route::{Address, Route};

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

/// What the budget becomes if a model that is opened takes more, as a share of its peak.
const ROOM: f64 = 1.25;

/// What went wrong, and what would fit if it was too large.
#[derive(Clone, PartialEq)]
pub struct Trouble {
    pub message: String,
    pub suggestion: Option<Suggestion>,
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

/// The step under every strategy, in the order of [`StrategyKind::ALL`], and the chosen one's grid.
pub struct Plans {
    pub plan: Plan,
    pub all: [Planned; 3],
    pub timelines: [Timeline; 3],
    pub grid: StepGrid,
    flops: u64,
}

impl Plans {
    fn of(plan: &Plan, limits: Limits) -> Self {
        let all = StrategyKind::ALL.map(|kind| Planned::new(&plan.spec, &plan.shape, plan.strategy.of_kind(kind, plan.chunks), limits));
        let timelines = [0, 1, 2].map(|i| Timeline::of(&all[i]));
        let grid = StepGrid::of(&all[plan.strategy.kind as usize]);
        let flops = all[plan.strategy.kind as usize].program().step_cost().flops;
        Plans { plan: plan.clone(), all, timelines, grid, flops }
    }

    /// The arithmetic of the chosen step.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    /// The step as it was chosen.
    pub fn chosen(&self) -> &Planned {
        &self.all[self.plan.strategy.kind as usize]
    }

    /// Its memory through time.
    pub fn timeline(&self) -> &Timeline {
        &self.timelines[self.plan.strategy.kind as usize]
    }
}

/// Everything that is shown.
#[derive(Clone, Copy)]
pub struct State {
    pub texts: RwSignal<&'static Texts>,
    /// The view that is shown.
    pub route: RwSignal<Route>,
    /// Does the visitor want the settings beside it?
    pub shows_settings: RwSignal<bool>,
    pub form: RwSignal<Form>,
    pub text: RwSignal<Option<GivenText>>,
    /// Texts that are being read.
    pub texts_being_read: RwSignal<u32>,
    /// The file of the text.
    pub text_file: StoredValue<Option<Blob>, LocalStorage>,
    /// Models in files.
    pub models: ModelClient,
    pub phase: RwSignal<Phase>,
    pub device: RwSignal<Option<Device>>,
    pub trouble: RwSignal<Option<Trouble>>,
    /// Something that the visitor should know and need not mend.
    pub notice: RwSignal<Option<String>>,
    /// Is there a run, going or paused?
    pub has_run: RwSignal<bool>,
    /// Runs in the browser's storage, without the one in progress.
    pub saved: RwSignal<Vec<SavedRun>>,
    /// Can runs be saved? `None` while that is not known.
    pub storage: RwSignal<Option<Storage>>,
    /// The step after which the run in progress was saved.
    pub saved_after: RwSignal<Option<u64>>,
    pub wait: RwSignal<Option<Wait>>,
    pub history: RwSignal<History>,
    pub sample: RwSignal<Option<(u64, Sample)>>,
    pub pattern: RwSignal<Option<Arc<AttentionMap>>>,
    /// Bytes planned and created.
    pub run_bytes: RwSignal<Option<(u64, u64)>>,
    /// What the run's data came to.
    pub read: RwSignal<Option<Summary>>,
    /// All buffers on the device, by what they are for.
    pub buffers: RwSignal<Vec<(String, u64)>>,
    /// What the device does at most, in 10⁹ operations a second.
    pub peak_gflops: RwSignal<Option<f64>>,
    pub compared: RwSignal<Vec<(StrategyKind, Result<f64, String>)>>,
    pub is_profiling: RwSignal<bool>,
    pub profile: RwSignal<Option<Profile>>,
    /// The share that is done of a search for the fastest kernels.
    pub search: RwSignal<Option<f64>>,
    /// How many operations have others than those of the device's class, when that was last found out.
    pub found: RwSignal<Option<usize>>,
    pub proving: RwSignal<Option<(usize, usize)>>,
    pub proof: RwSignal<Option<VerifyReport>>,
    pub past: RwSignal<Vec<run_history::PastRun>>,
    /// The turn that comes next, as the device told; 0 between steps.
    pub live: RwSignal<u64>,
    /// The turn that the visitor went to, if it is not the device's.
    pub cursor: RwSignal<Option<u64>>,
    /// The turn that the visitor points at.
    pub pointed: RwSignal<Option<u64>>,
    /// The numbers that were looked at last.
    pub view: RwSignal<Option<TensorView>>,
    /// The pictures' numbers, or what is wrong with the form.
    pub plans: Memo<Result<Arc<Plans>, String>>,
    /// What is wrong with the fields of the form together. What is wrong with one of them stands beside it.
    contradiction: Memo<Option<String>>,
    /// Bytes that the visitor allows, if what was typed makes sense.
    pub budget: Memo<Option<u64>>,
    pub language: RwSignal<&'static str>,
    /// Bytes by which the visitor's last change moved the peak.
    pub change: RwSignal<Option<i64>>,
    /// Is only that shown through time which grows with the sequence?
    pub without_model: RwSignal<bool>,
    /// How the visitor wants the curves.
    pub look: RwSignal<curves::Look>,
    /// The layer and the head whose attention is looked at.
    pub head: RwSignal<[u32; 2]>,
    /// How slow motion goes: the stride, and the place of the speed's slider.
    pub pace: RwSignal<(Granularity, usize)>,
    trainer: TrainerClient,
}

impl State {
    pub fn new() -> Self {
        let Address { route, section, form, turn } = Address::parse(&browser::fragment());
        let form = RwSignal::new(form);
        let device: RwSignal<Option<Device>> = RwSignal::new(None);
        let plan = Memo::new(move |_| form.with(Form::plan).map_err(|error| error.to_string()));
        let limits = Memo::new(move |_| {
            let of = |device: &Device| Limits { buffer: device.max_buffer, binding: device.max_binding };
            device.with(|device| device.as_ref().map_or(Limits::NONE, of))
        });
        // While a field is wrong, the pictures of the last plan stay.
        let plans = move |before: Option<&Result<Arc<Plans>, String>>| match (plan.get(), before) {
            (Ok(plan), _) => Ok(Arc::new(Plans::of(&plan, limits.get()))),
            (Err(_), Some(Ok(before))) => Ok(before.clone()),
            (Err(message), _) => Err(message),
        };
        let state = State {
            texts: RwSignal::new(Texts::english()),
            route: RwSignal::new(route),
            shows_settings: RwSignal::new(browser::has_room_beside()),
            form,
            text: RwSignal::new(None),
            texts_being_read: RwSignal::new(0),
            text_file: StoredValue::new_local(None),
            models: ModelClient::new(),
            phase: RwSignal::new(Phase::Loading),
            device,
            trouble: RwSignal::new(None),
            notice: RwSignal::new(None),
            has_run: RwSignal::new(false),
            saved: RwSignal::new(Vec::new()),
            storage: RwSignal::new(None),
            saved_after: RwSignal::new(None),
            wait: RwSignal::new(None),
            history: RwSignal::new(History::default()),
            sample: RwSignal::new(None),
            pattern: RwSignal::new(None),
            run_bytes: RwSignal::new(None),
            read: RwSignal::new(None),
            buffers: RwSignal::new(Vec::new()),
            peak_gflops: RwSignal::new(None),
            compared: RwSignal::new(Vec::new()),
            is_profiling: RwSignal::new(false),
            profile: RwSignal::new(None),
            search: RwSignal::new(None),
            found: RwSignal::new(None),
            proving: RwSignal::new(None),
            proof: RwSignal::new(None),
            past: RwSignal::new(Vec::new()),
            live: RwSignal::new(0),
            cursor: RwSignal::new(None),
            pointed: RwSignal::new(None),
            view: RwSignal::new(None),
            // Made anew only when the plan or the limits are others, and then it is another picture.
            plans: Memo::new_with_compare(plans, |_, _| true),
            contradiction: Memo::new(move |_| {
                let is_of_field = || form.with(|form| Field::ALL.iter().any(|&field| form.problem(field).is_some()));
                plan.get().err().filter(|_| !is_of_field())
            }),
            budget: Memo::new(move |_| form.with(|form| form.budget().ok())),
            language: RwSignal::new("en"),
            change: RwSignal::new(None),
            without_model: RwSignal::new(false),
            look: RwSignal::new(curves::Look::default()),
            head: RwSignal::new([0, 0]),
            pace: RwSignal::new((Granularity::Operation, 3)),
            trainer: TrainerClient::new(),
        };
        state.trainer.connect(state);
        // What was wrong with a run that did not begin is out of date as soon as the visitor changes something.
        Effect::new(move |_| {
            form.track();
            state.recover();
            state.cursor.set(None);
        });
        Effect::new(move |before: Option<Option<u64>>| {
            let now = plans_peak(state);
            if let (Some(Some(before)), Some(now)) = (before, now) {
                state.change.set(Some(now as i64 - before as i64));
            }
            now
        });
        addressing::go_into(state, turn, section);
        state
    }

    /// What is wrong, if anything is.
    pub fn shown_error(self) -> Option<Trouble> {
        self.trouble.get().or_else(|| Some(Trouble { message: self.contradiction.get()?, suggestion: None }))
    }

    /// The turn that pictures show: the visitor's, or the device's last, or the peak.
    pub fn shown_turn(self) -> u64 {
        let plans = self.plans.get();
        let Ok(plans) = &plans else { return 0 };
        let last = plans.timeline().turns - 1;
        match (self.pointed.get().or(self.cursor.get()), self.live.get()) {
            (Some(cursor), _) => cursor.min(last),
            (None, 0) => plans.chosen().peak_turn(),
            (None, next) => (next - 1).min(last),
        }
    }

    /// [`State::shown_turn`] for something that happens once.
    pub fn shown_turn_untracked(self) -> u64 {
        untrack(|| self.shown_turn())
    }

    /// Can the numbers of a tensor be looked at?
    pub fn stands_within_a_step(self) -> bool {
        self.has_run.get() && self.live.get() > 0 && !self.phase.get().is_going()
    }

    /// Starts a run, or goes on with the one there is.
    pub fn go(self, go: Go) {
        let is_too_early = matches!(self.phase.get_untracked(), Phase::Loading | Phase::Resuming | Phase::Waiting);
        if is_too_early || self.texts_being_read.get_untracked() > 0 {
            return;
        }
        if self.has_run.get_untracked() {
            self.send(&ToWorker::Continue(go));
        } else {
            let Some(run) = self.run() else { return };
            self.send(&ToWorker::Begin(Box::new(run), go));
            self.forget();
            self.has_run.set(true);
        }
        self.trouble.set(None);
        self.notice.set(None);
        self.cursor.set(None);
        self.view.set(None);
        self.phase.set(phase_of(go));
    }

    /// The run that the form says. If there is none, the visitor is told why.
    pub fn run(self) -> Option<Run> {
        match self.form.with_untracked(|form| form.run(self.text.get_untracked(), self.models.start())) {
            Ok(run) if !self.models.fits(&run.spec) => {
                self.show_error(self.texts.get_untracked().models.other_sizes);
                None
            }
            Ok(run) => {
                if run.is_encoded() {
                    self.models.ensure_started(self);
                }
                Some(run)
            }
            Err(error) => {
                self.trouble.set(Some(Trouble { message: error.to_string(), suggestion: None }));
                None
            }
        }
    }

    /// Tells the worker something. The text of a run goes with it as a file.
    pub fn send(self, message: &ToWorker) {
        let has_text = message.run().is_some_and(|run| matches!(run.data, Data::Text(_)));
        self.text_file.with_value(|file| self.trainer.send(message, file.as_ref().filter(|_| has_text), None));
    }

    /// Gives the worker a line to the model worker.
    pub fn send_port(self, message: &ToWorker, port: &web_sys::MessagePort) {
        self.trainer.send(message, None, Some(port));
    }

    /// Lets the model worker give the visitor what the run has learned.
    pub fn export(self) {
        self.models.ensure_started(self);
        self.send(&ToWorker::Export);
    }

    /// Raises the budget so far that a step of the model that was opened fits.
    pub fn leave_room(self) {
        let (Some(peak), Some(budget)) = (plans_peak(self), self.budget.get_untracked()) else { return };
        if peak > budget {
            self.form.update(|form| form.set_budget(ROOM * peak as f64));
        }
    }

    /// Says what is wrong with what the visitor did. A run goes on.
    pub fn show_error(self, message: &str) {
        self.trouble.set(Some(Trouble { message: message.to_owned(), suggestion: None }));
    }

    /// Takes an error back, unless it is that there is no device.
    pub fn recover(self) {
        if self.device.with_untracked(Option::is_none) {
            return;
        }
        self.trouble.set(None);
        if self.phase.get_untracked() == Phase::Error {
            self.phase.set(if self.has_run.get_untracked() { Phase::Paused } else { Phase::Ready });
        }
    }
}

/// What is shown while a run goes.
pub fn phase_of(go: Go) -> Phase {
    if matches!(go, Go::Continuous | Go::OneStep) { Phase::Training } else { Phase::Stepping }
}

fn plans_peak(state: State) -> Option<u64> {
    state.plans.with(|plans| plans.as_ref().ok().map(|plans| plans.chosen().peak_bytes()))
}
