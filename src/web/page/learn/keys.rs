//! The lesson by keyboard: the arrows go through the chapters, Space reveals, N shows the notes, digits and the other arrows guess.

use leptos::ev;
use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::{present, question};
use crate::web::lesson::chapters;
use crate::web::page::browser;
use crate::web::page::state::State;
use crate::web::route::Route;

/// Listens as long as the lesson is drawn.
pub fn listen(state: State) {
    let handle = window_event_listener(ev::keydown, move |event| {
        if state.shell.route.get_untracked() == Route::Learn && !event.ctrl_key() && !event.alt_key() && !event.meta_key() {
            key(state, &event);
        }
    });
    on_cleanup(move || handle.remove());
}

fn key(state: State, event: &KeyboardEvent) {
    let lesson = state.lesson;
    // Whatever has the focus and takes keys itself keeps them, but for what no control takes.
    let (takes_arrows, takes_space) =
        (browser::focus_takes(&["INPUT", "SELECT", "TEXTAREA"]), browser::focus_takes(&["BUTTON", "A", "INPUT", "SUMMARY"]));
    let place = lesson.chapter.get_untracked();
    match event.key().as_str() {
        "ArrowRight" | "PageDown" if !takes_arrows => go(state, place + 1),
        "ArrowLeft" | "PageUp" if !takes_arrows => go(state, place.saturating_sub(1)),
        "ArrowUp" if !takes_arrows => question::move_guess(lesson, &chapters()[place], 1.0),
        "ArrowDown" if !takes_arrows => question::move_guess(lesson, &chapters()[place], -1.0),
        " " if !takes_space => lesson.reveal(),
        "n" | "N" if !takes_arrows => lesson.shows_notes.update(|shows| *shows = !*shows),
        "f" | "F" if !takes_arrows => present::begin(state),
        "Escape" if lesson.presents.get_untracked() => lesson.presents.set(false),
        digit @ ("1" | "2" | "3") if !takes_arrows => question::choose(lesson, &chapters()[place], digit),
        _ => return,
    }
    event.prevent_default();
}

fn go(state: State, place: usize) {
    state.lesson.go_to(place);
    browser::focus_next_frame("chapter-title");
}
