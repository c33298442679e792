//! The page's side, in the browser.

mod attention;
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
mod language;
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
mod see;
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
    // The browser paints nothing between the two, so that the picture in the HTML does not flicker.
    browser::remove("first-picture");
    if browser::is_embedded("mountains") {
        mount_to_body(see::embedded);
    } else {
        mount_to_body(page);
    }
}

fn page() -> impl IntoView {
    let state = State::new();
    let place = see::first_place();
    planning::provide(state);
    head::take_remembered(state);
    wake_lock::keep_awake(state);
    saved_runs::look_again_when_shown(state);
    move || body(state, state.texts.get(), place)
}

fn body(state: State, t: T, place: RwSignal<u32>) -> impl IntoView {
    let links = see::Links { lab: "#/lab".to_owned().into(), learn: "#/learn".to_owned().into(), train: "#/train".to_owned().into() };
    view! {
        {see::view(t, place, links)}
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
