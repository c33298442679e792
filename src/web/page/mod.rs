//! The page's side, in the browser.

mod addressing;
mod attention;
mod axes;
mod bar;
mod browser;
mod compare;
mod controls;
mod curves;
mod drawer;
mod export;
mod heat;
mod inspector;
mod language;
mod learn;
mod messages;
mod model_client;
mod notices;
mod open_model;
mod planning;
mod positions;
mod preferences;
mod proof;
mod reach;
mod roofline;
mod run_history;
mod runs;
mod sample;
mod saved_activations;
mod saved_runs;
mod saving;
mod see;
mod setup;
mod state;
mod step_grid;
mod stepping;
mod text;
mod timeline;
mod trainer_client;
mod training;
mod wake_lock;

use leptos::prelude::*;

use super::i18n::Texts;
use super::route::Route;
use state::State;

/// The texts of the language that the page is in. Another language draws the page anew.
type T = &'static Texts;

/// Shows the page.
pub fn start() {
    console_error_panic_hook::set_once();
    // The browser paints nothing between the two, so that the picture in the HTML does not flicker.
    ["first-bar", "first-picture"].into_iter().for_each(browser::remove);
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
    preferences::take_remembered(state);
    addressing::follow(state);
    wake_lock::keep_awake(state);
    saved_runs::look_again_when_shown(state);
    move || body(state, state.texts.get(), place)
}

fn body(state: State, t: T, place: RwSignal<u32>) -> impl IntoView {
    view! {
        {bar::view(state, t)}
        {notices::view(state, t)}
        <div class="frame" class:with-settings=move || drawer::is_open(state)>
            {drawer::view(state, t)}
            <main id="main" tabindex="-1">{Route::ALL.map(|route| shown_once(state, t, place, route)).collect_view()}</main>
        </div>
        <footer><p>{t.bar.offline}</p></footer>
    }
}

/// A view, drawn when it is first shown and kept from then on.
fn shown_once(state: State, t: T, place: RwSignal<u32>, route: Route) -> impl IntoView {
    let was_shown = Memo::new(move |before: Option<&bool>| before.is_some_and(|was| *was) || state.route.get() == route);
    let content = move || was_shown.get().then(|| content(state, t, place, route));
    view! { <div class="view" data-view=route.name() class:hidden=move || state.route.get() != route>{content}</div> }
}

fn content(state: State, t: T, place: RwSignal<u32>, route: Route) -> AnyView {
    match route {
        Route::See => {
            let link = |route: Route| Signal::derive(move || addressing::link(state, route));
            see::view(
                t,
                place,
                see::Links {
                    lab: Signal::derive(move || addressing::link_to_proof(state)),
                    learn: link(Route::Learn),
                    train: link(Route::Train),
                },
            )
            .into_any()
        }
        Route::Learn => learn::view(state, t).into_any(),
        Route::Step => view! { {step_grid::view(state, t)} {inspector::view(state, t)} }.into_any(),
        Route::Train => view! {
            {controls::view(state, t)}
            {training::view(state, t)}
            {saving::view(state, t)}
        }
        .into_any(),
        Route::Reach => reach::view(state, t).into_any(),
        Route::Lab => compare::view(state, t).into_any(),
    }
}
