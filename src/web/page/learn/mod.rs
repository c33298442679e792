//! The lesson: a chapter at a time, with its picture, its question and, once there is a guess, the truth.

mod keys;
mod lesson;
mod pictures;
mod present;
mod question;

use leptos::prelude::*;

use super::addressing;
use super::browser;
use super::state::{LessonState, State};
use crate::web::i18n::{T, fill};
use crate::web::lesson::{Chapter, chapters};

pub use lesson::Lesson;
pub use present::{begin, follow};

pub fn view(state: State, t: T) -> impl IntoView {
    keys::listen(state);
    article(Lesson::new(state), t)
}

/// A chapter after the other.
pub fn article(lesson: Lesson, t: T) -> impl IntoView {
    load_recorded(lesson.lesson);
    let chapter = move || {
        let place = lesson.lesson.chapter.get();
        view! { <article class="lesson" data-chapter=place + 1 aria-labelledby="chapter-title">{chapter(lesson, t, place)}</article> }
    };
    view! { {chapter} }
}

/// Gets the recorded run, unless it is here. The chapters that show it are not the first.
fn load_recorded(lesson: LessonState) {
    if lesson.recorded.with_untracked(Option::is_none) {
        wasm_bindgen_futures::spawn_local(async move {
            if let Some(json) = browser::fetch_text("lesson/recorded.json").await {
                lesson.take_recorded(&json);
            }
        });
    }
}

fn chapter(lesson: Lesson, t: T, place: usize) -> impl IntoView {
    let chapter = &chapters()[place];
    let words = chapter.words(lesson.language.get());
    let number = fill(t.learn.chapter, &[("number", &(place + 1)), ("all", &chapters().len())]);
    let notes = move || {
        lesson
            .lesson
            .shows_notes
            .get()
            .then(|| view! { <aside class="notes" aria-label=t.learn.notes><p>{words.notes.clone()}</p></aside> })
    };
    view! {
        <header class="chapter">
            <p class="number">{number}</p>
            <h1 id="chapter-title" tabindex="-1">{words.title.clone()}</h1>
            <p class="sentence">{words.sentence.clone()}</p>
        </header>
        <div class="lesson-picture">{pictures::view(lesson, t, chapter, words)}</div>
        {question::view(lesson, t, chapter, words)}
        {notes}
        {foot(lesson, t, chapter, place)}
    }
}

/// From one chapter to another, what more there is, and the teacher's notes.
fn foot(lesson: Lesson, t: T, chapter: &'static Chapter, place: usize) -> impl IntoView {
    let state = lesson.lesson;
    let go = move |to: usize| {
        state.go_to(to);
        browser::focus_next_frame("chapter-title");
    };
    let dot = move |(at, other): (usize, &'static Chapter)| {
        let title = other.words(lesson.language.get_untracked()).title.clone();
        view! {
            <li><button type="button" class="dot-button" aria-label=format!("{}. {title}", at + 1) data-tip=title.clone()
                aria-current=(at == place).then_some("step") on:click=move |_| go(at)>{at + 1}</button></li>
        }
    };
    let look = lesson.device.map(|device| {
        let words = chapter.words(lesson.language.get());
        view! { <p class="look-further"><a href=move || addressing::link(device, chapter.route())>{words.look.clone()}</a></p> }
    });
    view! {
        {look}
        <nav class="chapters" aria-label=t.learn.title>
            <button id="previous-chapter" type="button" disabled={place == 0} on:click=move |_| go(place.saturating_sub(1))>{t.learn.previous}</button>
            <ol>{chapters().iter().enumerate().map(dot).collect_view()}</ol>
            <button id="next-chapter" type="button" class="primary" disabled={place + 1 == chapters().len()} on:click=move |_| go(place + 1)>{t.learn.next}</button>
        </nav>
        <p class="hint lesson-keys">{t.learn.keys} " "
            <button id="notes-button" type="button" class="quiet" aria-pressed=move || state.shows_notes.get().to_string()
                on:click=move |_| state.shows_notes.update(|shows| *shows = !*shows)>{t.learn.notes}</button>
        </p>
    }
}
