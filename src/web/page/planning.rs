//! What the page asks of the planner, and what is known of it.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{Event, MessageEvent, Worker};

use super::state::{Phase, State};
use super::trainer_client;
use crate::model::{ModelSpec, Preset};
use crate::step::{Strategy, StrategyKind};
use crate::web::form::{Field, Form, Plan};
use crate::web::memory_curve::{Chart, FromPlanner, Question, ToPlanner, Topic};
use crate::web::planner::NAME;
use crate::web::published::{self, Trainable};
use crate::web::{codec, protocol::Device};

/// A chart, and which question it answers.
pub type Answer = RwSignal<Option<(u32, Chart)>>;

/// What the sections on lengths know beside the page's state. It outlives a change of the language.
#[derive(Clone, Copy)]
pub struct Planning {
    /// The published model that is looked at; otherwise it is the form's.
    pub model: RwSignal<Option<&'static Preset>>,
    /// What is trained of it.
    pub trainable: RwSignal<Trainable>,
    pub without_model: RwSignal<bool>,
    /// The budget of published models in GiB, as typed.
    pub gib: RwSignal<String>,
    /// The length that the visitor went to, where that is not the form's.
    pub length: RwSignal<Option<u32>>,
    /// What is asked of the form's model, and of the one that is shown.
    pub own_question: Memo<Option<Question>>,
    pub question: Memo<Option<Question>>,
    own: Answer,
    shown: Answer,
    /// The numbers of the newest questions: by the slots of their topics.
    asked: RwSignal<[u32; 3]>,
    /// What the planner chose last. `None` inside if nothing fits.
    pub chosen: RwSignal<Option<Option<(Strategy, u32)>>>,
    pub is_choosing: RwSignal<bool>,
    /// The plans whose step was timed last, and whose operations; and the model of the last proof.
    pub timed: RwSignal<Option<Plan>>,
    pub profiled: RwSignal<Option<Plan>>,
    pub proved: RwSignal<Option<ModelSpec>>,
    worker: StoredValue<Option<Worker>, LocalStorage>,
}

/// Puts it where [`planning`] finds it.
pub fn provide(state: State) {
    let model: RwSignal<Option<&'static Preset>> = RwSignal::new(None);
    let trainable = RwSignal::new(Trainable::default());
    let (without_model, gib) = (RwSignal::new(false), RwSignal::new("80".to_owned()));
    // While a field is wrong, the pictures of the last question stay.
    let own_question = Memo::new(move |before: Option<&Option<Question>>| own_question(state).or_else(|| before.cloned().flatten()));
    // While what is typed makes no sense, the last budget that did counts.
    let budget = Memo::new(move |before: Option<&u64>| gib.with(|gib| published::budget(gib)).or(before.copied()).unwrap_or(80 << 30));
    let question = Memo::new(move |_| match model.get() {
        None => own_question.get().map(|own| Question { without_model: without_model.get(), ..own }),
        Some(preset) => Some(trainable.get().question(preset, budget.get(), without_model.get())),
    });
    let planning = Planning {
        model,
        trainable,
        without_model,
        gib,
        length: RwSignal::new(None),
        own_question,
        question,
        own: RwSignal::new(None),
        shown: RwSignal::new(None),
        asked: RwSignal::new([0; 3]),
        chosen: RwSignal::new(None),
        is_choosing: RwSignal::new(false),
        timed: RwSignal::new(None),
        profiled: RwSignal::new(None),
        proved: RwSignal::new(None),
        worker: StoredValue::new_local(None),
    };
    // The trainer's start comes first: it is what a visitor waits for.
    let is_open = Memo::new(move |_| state.phase.get() != Phase::Loading);
    Effect::new(move |_| {
        if let Some(question) = own_question.get().filter(|_| is_open.get()) {
            planning.ask(state, Topic::Own, question);
        }
    });
    Effect::new(move |_| {
        let own = own_question.get();
        if let Some(question) = question.get().filter(|question| is_open.get() && own.as_ref() != Some(question)) {
            planning.ask(state, Topic::Shown, question);
        }
    });
    // A choice that was made is the form's until the visitor changes it.
    Effect::new(move |_| {
        state.form.track();
        planning
            .chosen
            .update_untracked(|chosen| *chosen = chosen.filter(|choice| choice.is_some_and(|(_, tokens)| length(state) == Some(tokens))));
        planning.chosen.notify();
    });
    provide_context(planning);
}

/// What [`provide`] put there.
pub fn planning() -> Planning {
    expect_context()
}

fn own_question(state: State) -> Option<Question> {
    let plan = state.form.with(Form::plan).ok()?;
    let limits = |device: &Device| [device.max_buffer, device.max_binding];
    Some(Question {
        sequences: plan.shape.lengths().len() as u32,
        spec: plan.spec,
        chunks: plan.chunks,
        budget: state.budget.get()?,
        limits: state.device.with(|device| device.as_ref().map_or([u64::MAX; 2], limits)),
        without_model: false,
    })
}

/// The length that the form says.
fn length(state: State) -> Option<u32> {
    state.form.with(|form| form.get(Field::SeqLen).trim().parse().ok()).filter(|&tokens| tokens > 0)
}

impl Planning {
    /// Does moving the slider change the form?
    pub fn is_bound(self, state: State) -> bool {
        self.model.with(Option::is_none) && !state.has_run.get()
    }

    /// Shows a published model on a GPU of that memory, trained as in the paper.
    pub fn show(self, model: &'static Preset, gib: u32) {
        self.model.set(Some(model));
        self.trainable.set(Trainable::Lora);
        self.gib.set(gib.to_string());
    }

    /// The length that is looked at.
    pub fn shown_length(self, state: State) -> u32 {
        let moved = if self.is_bound(state) { None } else { self.length.get() };
        moved.or(length(state)).unwrap_or(512)
    }

    /// Goes to a length.
    pub fn go_to(self, state: State, tokens: u32) {
        self.length.set(Some(tokens));
        if untrack(|| self.is_bound(state)) {
            state.form.update(|form| form.set(Field::SeqLen, tokens));
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

    /// Lets the planner choose a strategy.
    pub fn choose(self, state: State, topic: Topic) {
        if let Some(question) = self.own_question.get_untracked() {
            self.is_choosing.set(true);
            self.chosen.set(None);
            self.ask(state, topic, question);
        }
    }

    fn ask(self, state: State, topic: Topic, question: Question) {
        let number = self.asked.with_untracked(|asked| asked[topic.slot()]) + 1;
        self.asked.update(|asked| asked[topic.slot()] = number);
        if self.worker.with_value(Option::is_none) {
            self.worker.set_value(Some(self.start(state)));
        }
        let (pair, handed_over) = codec::pack(&ToPlanner { topic, number, question }, &[]);
        let send = |worker: &Worker| worker.post_message_with_transfer(&pair, &handed_over).expect("messages can be posted");
        self.worker.with_value(|worker| worker.iter().for_each(send));
    }

    fn start(self, state: State) -> Worker {
        let worker = trainer_client::spawn(NAME);
        let on_message =
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| self.on_message(state, codec::unpack(&event.data()).0));
        // The next question starts another one.
        let died = Closure::<dyn Fn(Event)>::new(move |_| {
            self.is_choosing.set(false);
            self.worker.set_value(None);
        });
        worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(died.into_js_value().unchecked_ref()));
        worker
    }

    fn on_message(self, state: State, message: FromPlanner) {
        let newest = self.asked.get_untracked();
        match message {
            FromPlanner::Charted(topic, number, chart) if number == newest[topic.slot()] => {
                let answer = if topic == Topic::Own { self.own } else { self.shown };
                answer.set(Some((number, chart)));
            }
            FromPlanner::Chosen(number, choice) if number == newest[Topic::Longest.slot()] => {
                self.is_choosing.set(false);
                if let Some((strategy, tokens)) = choice.filter(|_| !state.has_run.get_untracked()) {
                    state.form.update(|form| {
                        form.set_strategy(strategy);
                        form.set(Field::SeqLen, tokens);
                    });
                }
                self.chosen.set(Some(choice));
            }
            FromPlanner::Charted(..) | FromPlanner::Chosen(..) => {}
        }
    }
}
