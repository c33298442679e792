//! Where the lesson stands.

use std::sync::Arc;

use leptos::prelude::*;

use super::settings::Settings;
use super::step::StepState;
use crate::step::StrategyKind;
use crate::web::form::{Field, Form};
use crate::web::lesson::{Facts, Recorded, TOKENS, chapters};

/// The chapter that is shown, the guesses, and the controls of the pictures.
#[derive(Clone, Copy)]
pub struct LessonState {
    /// The place of the chapter.
    pub chapter: RwSignal<usize>,
    /// What was guessed in each chapter: a number, or the place of an answer.
    pub guesses: RwSignal<Vec<Option<f64>>>,
    /// Was the truth revealed?
    pub revealed: RwSignal<Vec<bool>>,
    pub shows_notes: RwSignal<bool>,
    /// Is it shown on the whole screen?
    pub presents: RwSignal<bool>,
    /// What is planned; computed when it is first needed.
    pub planned: Memo<Arc<Facts>>,
    /// A run that was recorded, once it is here.
    pub recorded: RwSignal<Option<Arc<Recorded>>>,
    /// The moment of the mountain, from 0 at its left to 1.
    pub moment: RwSignal<f64>,
    /// The place of the length in the growth curve.
    pub length: RwSignal<usize>,
    /// The step of the pictures of strategies and chunks.
    pub settings: Settings,
    pub step: StepState,
    /// The budget of the chart in MiB.
    pub budget: RwSignal<u64>,
    /// The place of the distance among the recorded ones.
    pub distance: RwSignal<usize>,
}

impl LessonState {
    pub fn new() -> Self {
        let mut form = Form::default();
        form.set(Field::SeqLen, TOKENS);
        let settings = Settings::new(form);
        let count = chapters().len();
        LessonState {
            chapter: RwSignal::new(0),
            guesses: RwSignal::new(vec![None; count]),
            revealed: RwSignal::new(vec![false; count]),
            shows_notes: RwSignal::new(false),
            presents: RwSignal::new(false),
            planned: Memo::new(|_| Arc::new(Facts::planned())),
            recorded: RwSignal::new(None),
            moment: RwSignal::new(0.0),
            length: RwSignal::new(0),
            settings,
            step: StepState::new(settings, RwSignal::new(0)),
            budget: RwSignal::new(64),
            distance: RwSignal::new(0),
        }
    }

    /// Takes the recorded run from the text of its file, if that is whole.
    pub fn take_recorded(self, json: &str) {
        self.recorded.set(serde_json::from_str(json).ok().map(Arc::new));
    }

    /// Goes to a chapter, by its place. Whatever is beyond the ends stays at them.
    pub fn go_to(self, chapter: usize) {
        self.chapter.set(chapter.min(chapters().len() - 1));
    }

    /// The guess of the chapter that is shown.
    pub fn guess(self) -> Option<f64> {
        self.guesses.with(|guesses| guesses[self.chapter.get()])
    }

    /// Guesses in the chapter that is shown. What was revealed is not guessed any more.
    pub fn set_guess(self, value: f64) {
        if !untrack(|| self.is_revealed()) {
            self.guesses.update(|guesses| guesses[self.chapter.get_untracked()] = Some(value));
        }
    }

    /// Is the truth of the chapter that is shown known?
    pub fn is_revealed(self) -> bool {
        self.revealed.with(|revealed| revealed[self.chapter.get()])
    }

    /// Shows the truth of the chapter that is shown.
    pub fn reveal(self) {
        self.revealed.update(|revealed| revealed[self.chapter.get_untracked()] = true);
    }

    /// Draws the step of another strategy, or of another chunk length.
    pub fn set_step(self, kind: StrategyKind, chunk: u32) {
        self.settings.form.update(|form| {
            form.strategy = kind;
            form.set(Field::Chunk, chunk);
            form.set(Field::LogitsChunk, chunk);
        });
    }
}
