//! What is asked, the visitor's guess, and the truth beside it.

use leptos::prelude::*;

use super::lesson::Lesson;
use crate::web::i18n::{T, fill};
use crate::web::lesson::{Chapter, Facts, Question, Truth, Words};
use crate::web::page::components::axes::percent;
use crate::web::page::state::LessonState;

pub fn view(lesson: Lesson, t: T, chapter: &'static Chapter, words: &'static Words) -> impl IntoView {
    let state = lesson.lesson;
    let asked = move || lesson.facts.with(|facts| facts.fill(&words.question));
    let guess = match chapter.question {
        Question::Choice { right } => choice(state, words, right).into_any(),
        Question::Number { truth, low, high, step } => number(lesson, t, words, Scale { truth, low, high, step }).into_any(),
    };
    let reveal = move || {
        (!state.is_revealed()).then(|| {
            view! { <button id="reveal" type="button" class="primary" on:click=move |_| state.reveal()>{t.learn.reveal}</button> }
        })
    };
    view! {
        <section class="question" aria-labelledby="question">
            <h2 id="question">{asked}</h2>
            {guess}
            {reveal}
            <p id="answer" role="status">{move || state.is_revealed().then(|| answer(lesson, t, chapter, words))}</p>
        </section>
    }
}

/// The truth in words, after a word on the guess.
fn answer(lesson: Lesson, t: T, chapter: &Chapter, words: &Words) -> String {
    let guess = lesson.lesson.guess();
    lesson.facts.with(|facts| {
        let text = facts.fill(&words.reveal);
        match chapter.question {
            Question::Choice { right } => match guess {
                Some(guess) if guess as usize == right => format!("{} {text}", t.learn.right),
                Some(_) => format!("{} {text}", t.learn.not_quite),
                None => text,
            },
            Question::Number { truth, .. } => {
                let in_words = |value: f64| fill(&words.unit, &[("value", &Facts::text(truth, value))]);
                let value = facts.number(truth).map_or_else(|| "–".to_owned(), in_words);
                let guessed = guess.map_or_else(String::new, |guess| format!("{} ", fill(t.learn.guessed, &[("guess", &in_words(guess))])));
                guessed + &text.replace("{truth}", &value)
            }
        }
    })
}

fn choice(state: LessonState, words: &'static Words, right: usize) -> impl IntoView {
    let answer = move |(place, answer): (usize, &'static String)| {
        let is_chosen = move || state.guess() == Some(place as f64);
        let class = move || match state.is_revealed() {
            true if place == right => "answer right",
            true => "answer wrong",
            false => "answer",
        };
        view! {
            <li><button type="button" class=class data-answer=place + 1 aria-pressed=move || is_chosen().to_string() disabled=move || state.is_revealed()
                on:click=move |_| state.set_guess(place as f64)><span aria-hidden="true">{place + 1}</span> {answer.clone()}</button></li>
        }
    };
    view! { <ol class="answers">{words.answers.iter().enumerate().map(answer).collect_view()}</ol> }
}

/// What can be guessed.
#[derive(Clone, Copy)]
struct Scale {
    truth: Truth,
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn middle(self) -> f64 {
        self.low + ((self.high - self.low) / 2.0 / self.step).round() * self.step
    }

    /// A place along the slider, as far from its ends as a mark is wide.
    fn place(self, value: f64) -> String {
        let place = percent((100.0 * (value - self.low) / (self.high - self.low)).clamp(0.0, 100.0));
        format!("clamp(5.5rem, {place}, calc(100% - 5.5rem))")
    }
}

fn number(lesson: Lesson, t: T, words: &'static Words, scale: Scale) -> impl IntoView {
    let state = lesson.lesson;
    let guess = move || state.guess().unwrap_or(scale.middle());
    let in_words = move |value: f64| fill(&words.unit, &[("value", &Facts::text(scale.truth, value))]);
    let drag = move |value: String| value.parse().into_iter().for_each(|value| state.set_guess(value));
    let mark = move |class: &'static str, name: &'static str, value: f64| {
        view! { <span class=class style:left=scale.place(value)><b>{name}</b>"\u{a0}"{in_words(value)}</span> }
    };
    let marks = move || {
        let truth = lesson.facts.with(|facts| facts.number(scale.truth)).filter(|_| state.is_revealed())?;
        let guess = state.guess().map(|guess| mark("mark guess", t.learn.guess, guess));
        Some(view! { <div class="marks" aria-hidden="true">{guess} {mark("mark truth", t.learn.truth, truth)}</div> })
    };
    view! {
        <div class="guess-number">
            <label for="guess">{t.learn.guess}</label>
            <input id="guess" type="range" min=scale.low max=scale.high step=scale.step autocomplete="off" prop:value=move || guess().to_string()
                aria-valuetext=move || in_words(guess()) disabled=move || state.is_revealed() on:input=move |event| drag(event_target_value(&event))/>
            <output for="guess" aria-live="off">{move || in_words(guess())}</output>
            {marks}
        </div>
    }
}

/// Moves a guessed number by steps of the slider: a twentieth of it at a time, so that keys get somewhere.
pub fn move_guess(state: LessonState, chapter: &Chapter, by: f64) {
    if let Question::Number { truth, low, high, step } = chapter.question {
        let scale = Scale { truth, low, high, step };
        let now = untrack(|| state.guess()).unwrap_or(scale.middle());
        let far = ((high - low) / 20.0 / step).round().max(1.0) * step;
        state.set_guess((now + by * far).clamp(low, high));
    }
}

/// Chooses an answer by its digit.
pub fn choose(state: LessonState, chapter: &Chapter, digit: &str) {
    if let (Question::Choice { .. }, Ok(number @ 1..)) = (chapter.question, digit.parse::<u32>()) {
        state.set_guess(f64::from(number - 1));
    }
}
