//! The page's side, in the browser.

mod attention;
mod axes;
mod browser;
mod compare;
mod controls;
mod curves;
mod export;
mod head;
mod heat;
mod inspector;
mod keep;
mod kept;
mod library;
mod link;
mod messages;
mod opening;
mod past;
mod planning;
mod positions;
mod proof;
mod reach;
mod roofline;
mod runs;
mod sample;
mod saved_runs;
mod setup;
mod slow;
mod stage;
mod state;
mod text;
mod timeline;
mod training;
mod wake_lock;

use leptos::prelude::*;

use super::texts::Texts;
use state::State;

/// The texts of the language that the page is in. Another language draws the page anew.
type T = &'static Texts;

/// Shows the page.
pub fn start() {
    console_error_panic_hook::set_once();
    mount_to_body(page);
}

fn page() -> impl IntoView {
    let state = State::new();
    planning::provide(state);
    head::take_remembered(state);
    wake_lock::keep_awake(state);
    saved_runs::look_again_when_shown(state);
    move || body(state, state.texts.get())
}

fn body(state: State, t: T) -> impl IntoView {
    view! {
        {head::view(state, t)}
        <main>
            <div class="column side">{setup::view(state, t)}</div>
            <div class="column">
                {controls::view(state, t)}
                {training::numbers(state, t)}
                {stage::view(state, t)}
                {inspector::view(state, t)}
                {keep::view(state, t)}
            </div>
            <div class="column">
                {training::view(state, t)}
                {compare::view(state, t)}
                {reach::view(state, t)}
            </div>
        </main>
        <footer><p>{t.head.offline}</p></footer>
    }
}
