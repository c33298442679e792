//! What the page asks of the planner, and what is known of it.

use leptos::prelude::*;

use super::run::RunState;
use super::settings::Settings;
use crate::gpu::{Ceilings, DeviceClass};
use crate::model::Preset;
use crate::step::{Strategy, StrategyKind};
use crate::train::{FrontierPoint, Network, RankCost};
use crate::web::form::{Adapter, Field, Form};
use crate::web::memory_curve::{Chart, ToPlanner, Topic};
use crate::web::page::worker_client::WorkerClient;
use crate::web::published::{self, Trainable};
use crate::web::question::Question;

/// A chart, and which question it answers.
pub type Answer = RwSignal<Option<(u32, Chart)>>;

/// The device for which times are predicted.
#[derive(Clone, Copy, PartialEq)]
pub enum Predicted {
    /// The adapter at hand.
    Here,
    /// One by its data sheet.
    Class(DeviceClass),
}

/// What the sections on lengths know.
#[derive(Clone, Copy)]
pub struct Planner {
    settings: Settings,
    run: RunState,
    /// The published model that is looked at; otherwise it is the form's.
    pub model: RwSignal<Option<&'static Preset>>,
    /// What is trained of it.
    pub trainable: RwSignal<Trainable>,
    pub without_model: RwSignal<bool>,
    /// Machines between which a batch is split, and Gbit/s of the network between them.
    pub machines: RwSignal<u32>,
    pub bandwidth: RwSignal<u32>,
    /// The budget of published models in GiB, as typed.
    pub gib: RwSignal<String>,
    /// The length that the visitor went to, where that is not the form's.
    pub length: RwSignal<Option<u32>>,
    /// What is asked of the form's model, and of the one that is shown.
    pub own_question: Memo<Option<Question>>,
    pub question: Memo<Option<Question>>,
    pub own: Answer,
    pub shown: Answer,
    /// The numbers of the newest questions: by the slots of their topics.
    pub asked: RwSignal<[u32; Topic::SLOTS]>,
    /// The device that the visitor chose for predicted times.
    chosen_device: RwSignal<Option<Predicted>>,
    /// Is the adapter at hand measured?
    pub is_measured: Memo<bool>,
    /// Seconds of a step under every strategy, and which question they answer; and what a step takes of each of several machines.
    pub times: RwSignal<Option<(u32, [f64; 3])>>,
    pub of_machines: RwSignal<Vec<RankCost>>,
    /// The frontier of bytes and time, and which question it answers.
    pub frontier: RwSignal<(u32, Vec<FrontierPoint>)>,
    /// What the planner chose last. `None` inside if nothing fits.
    pub chosen: RwSignal<Option<Option<(Strategy, u32)>>>,
    pub is_choosing: RwSignal<bool>,
    pub worker: WorkerClient<ToPlanner>,
}

impl Planner {
    pub fn new(settings: Settings, run: RunState, ceilings: RwSignal<Option<Ceilings>>, worker: WorkerClient<ToPlanner>) -> Self {
        let model: RwSignal<Option<&'static Preset>> = RwSignal::new(None);
        let trainable = RwSignal::new(Trainable::default());
        let (without_model, gib) = (RwSignal::new(false), RwSignal::new("80".to_owned()));
        let (machines, bandwidth) = (RwSignal::new(1), RwSignal::new(10));
        // While a field is wrong, the pictures of the last question stay.
        let own_question = Memo::new(move |before: Option<&Option<Question>>| question_of(settings).or_else(|| before.cloned().flatten()));
        // While what is typed makes no sense, the last budget that did counts.
        let budget = Memo::new(move |before: Option<&u64>| gib.with(|gib| published::budget(gib)).or(before.copied()).unwrap_or(80 << 30));
        let question = Memo::new(move |_| match model.get() {
            None => own_question.get().map(|own| Question {
                without_model: without_model.get(),
                machines: own.most_machines().min(machines.get()),
                ..own
            }),
            Some(preset) => {
                Some(Question { machines: machines.get(), ..trainable.get().question(preset, budget.get(), without_model.get()) })
            }
        });
        Planner {
            settings,
            run,
            model,
            trainable,
            without_model,
            machines,
            bandwidth,
            gib,
            length: RwSignal::new(None),
            own_question,
            question,
            own: RwSignal::new(None),
            shown: RwSignal::new(None),
            asked: RwSignal::new([0; Topic::SLOTS]),
            chosen_device: RwSignal::new(None),
            is_measured: Memo::new(move |_| ceilings.with(Option::is_some)),
            times: RwSignal::new(None),
            of_machines: RwSignal::new(Vec::new()),
            frontier: RwSignal::new((0, Vec::new())),
            chosen: RwSignal::new(None),
            is_choosing: RwSignal::new(false),
            worker,
        }
    }

    /// The device for which times are predicted: the visitor's choice, or the adapter at hand as soon as it was measured.
    pub fn predicted(self) -> Predicted {
        let first = || if self.is_measured.get() { Predicted::Here } else { Predicted::Class(DeviceClass::TYPICAL) };
        self.chosen_device.get().unwrap_or_else(first)
    }

    /// The network between machines.
    pub fn network(self) -> Network {
        Network { bandwidth: f64::from(self.bandwidth.get()) * 1e9 / 8.0, ..Network::TEN_GIGABIT }
    }

    /// Is the batch split between several machines?
    pub fn is_split(self) -> bool {
        self.question.with(|question| question.as_ref().is_some_and(|question| question.machines > 1))
    }

    /// Predicts times for another device.
    pub fn predict(self, device: Predicted) {
        self.chosen_device.set(Some(device));
    }

    /// Does moving the slider change the form?
    pub fn is_bound(self) -> bool {
        self.model.with(Option::is_none) && !self.run.has_run.get()
    }

    /// Shows a published model on a GPU of that memory, trained as in the paper.
    pub fn show(self, model: &'static Preset, gib: u32) {
        self.model.set(Some(model));
        self.trainable.set(Trainable::Lora);
        self.gib.set(gib.to_string());
    }

    /// The length that is looked at.
    pub fn shown_length(self) -> u32 {
        let moved = if self.is_bound() { None } else { self.length.get() };
        moved.or(self.settings.seq_len()).unwrap_or(512)
    }

    /// Goes to a length.
    pub fn go_to(self, tokens: u32) {
        self.length.set(Some(tokens));
        if untrack(|| self.is_bound()) {
            self.settings.form.update(|form| form.set(Field::SeqLen, tokens));
        }
    }

    /// The longest sequence of the form's model, and whether that is out of date. `None` as long as nothing is known; `None`
    /// inside if not even one token fits.
    pub fn own_longest(self, kind: StrategyKind) -> Option<(Option<u32>, bool)> {
        let newest = self.asked.get()[Topic::Own.slot()];
        self.own.with(|own| own.as_ref().map(|(number, chart)| (chart.lines[kind as usize].longest, *number != newest)))
    }

    /// The chart to be shown, and whether it is out of date.
    pub fn chart(self) -> Option<(Chart, bool)> {
        let is_own = self.own_question.with(|own| self.question.with(|shown| own == shown));
        let (answer, topic) = if is_own { (self.own, Topic::Own) } else { (self.shown, Topic::Shown) };
        let (number, chart) = answer.get()?;
        Some((chart, number != self.asked.get()[topic.slot()]))
    }
}

/// What is asked of the form's model.
fn question_of(settings: Settings) -> Option<Question> {
    let plan = settings.plan.get().ok()?;
    let Adapter { limits, speed } = settings.adapter.get();
    Some(Question {
        objective: plan.objective,
        sequences: plan.shape.lengths().len() as u32,
        spec: plan.spec,
        chunks: settings.form.with(Form::chunks).ok()?,
        speed,
        budget: settings.budget.get()?,
        limits: [limits.buffer, limits.binding],
        without_model: false,
        machines: 1,
    })
}
