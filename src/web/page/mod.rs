//! The page's side, in the browser. What it knows is in [`state`], what the visitor does in [`actions`], what the workers say in
//! [`messages`]; each view is a directory with the name of its route.

mod actions;
mod addressing;
mod bar;
mod browser;
mod chip;
mod components;
mod drawer;
mod embed;
mod lab;
mod language;
mod learn;
mod messages;
mod notices;
mod preferences;
mod reach;
mod see;
mod state;
mod step;
mod train;
mod wake_lock;
mod worker_client;

use leptos::prelude::*;

use super::i18n::T;
use super::route::{Address, Route};
use components::tooltip;
use state::State;

/// Shows the page.
pub fn start() {
    console_error_panic_hook::set_once();
    // The browser paints nothing between the two, so that the picture in the HTML does not flicker.
    ["first-bar", "first-picture"].into_iter().for_each(browser::remove);
    if !browser::embedded().is_some_and(|picture| embed::show(&picture)) {
        mount_to_body(page);
    }
}

fn page() -> impl IntoView {
    let address = Address::parse(&browser::fragment());
    let state = State::new(&address, browser::has_room_beside());
    state.connect_trainer();
    state.step.follow_changes();
    state.follow_adapter();
    state.recover_when_changed();
    state.follow_planner();
    state.list_saved_when_shown();
    preferences::take_remembered(state);
    addressing::follow(state);
    addressing::go_into(state, address.turn, address.section);
    learn::follow(state);
    wake_lock::keep_awake(state.run);
    // The tooltip listens to the window, and is not drawn anew in another language.
    view! { {move || body(state, state.shell.texts.get())} {tooltip::view()} }
}

fn body(state: State, t: T) -> impl IntoView {
    view! {
        {bar::view(state, t)}
        {notices::view(state, t)}
        <div class="frame" class:with-settings=move || drawer::is_open(state)>
            {drawer::view(state, t)}
            <main id="main" tabindex="-1">{Route::ALL.map(|route| shown_once(state, t, route)).collect_view()}</main>
        </div>
        <footer><p>{t.bar.offline}</p></footer>
    }
}

/// A view, drawn when it is first shown and kept from then on.
fn shown_once(state: State, t: T, route: Route) -> impl IntoView {
    let now = state.shell.route;
    let was_shown = Memo::new(move |before: Option<&bool>| before.is_some_and(|was| *was) || now.get() == route);
    let content = move || was_shown.get().then(|| content(state, t, route));
    view! { <div class="view" data-view=route.name() class:hidden=move || now.get() != route>{content}</div> }
}

fn content(state: State, t: T, route: Route) -> AnyView {
    match route {
        Route::See => {
            let link = |route: Route| Signal::derive(move || addressing::link(state, route));
            let lab = Signal::derive(move || addressing::link_to_proof(state));
            let links = see::Links { lab, learn: link(Route::Learn), train: link(Route::Train) };
            see::view(t, state.shell.see_place, links).into_any()
        }
        Route::Learn => learn::view(state, t).into_any(),
        Route::Step => step::view(state, t).into_any(),
        Route::Train => train::view(state, t).into_any(),
        Route::Reach => reach::view(state, t).into_any(),
        Route::Lab => lab::view(state, t).into_any(),
    }
}
