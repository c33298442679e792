//! The bar above every view: where one can go, the run, language and theme, the link.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::state::State;
use super::{T, addressing, browser, controls, preferences};
use crate::web::protocol::{Go, ToWorker};
use crate::web::route::Route;

pub fn view(state: State, t: T) -> impl IntoView {
    let skip = move |event: web_sys::MouseEvent| {
        event.prevent_default();
        browser::focus("main");
    };
    let copied = RwSignal::new(false);
    let copy = move |_| {
        let link = addressing::write(state);
        spawn_local(async move { copied.set(browser::copy(&link).await) });
    };
    view! {
        <a class="skip" href="#main" on:click=skip>{t.bar.skip}</a>
        <header>
            <p class="brand">{t.bar.title}</p>
            <nav aria-label=t.bar.views>{Route::ALL.map(|route| link(state, t, route)).collect_view()}</nav>
            {run(state, t)}
            <div class="preferences">
                {preferences::view(state, t)}
                <button id="copy-link" type="button" on:click=copy>
                    {move || if copied.get() { t.bar.link_copied } else { t.bar.link }}
                </button>
            </div>
        </header>
    }
}

fn link(state: State, t: T, route: Route) -> impl IntoView {
    let is_here = move || state.route.get() == route;
    view! {
        <a href=move || addressing::link(state, route) data-route=route.name() aria-current=move || is_here().then_some("page")>
            {t.route(route).to_owned()}
        </a>
    }
}

/// How the run stands, from every view.
fn run(state: State, t: T) -> impl IntoView {
    let loss = move || state.history.with(|history| history.steps.last().map(|report| format!("{} {:.4}", t.training.loss, report.loss)));
    let can_go_on = move || state.has_run.get() && !state.phase.get().is_busy() && !controls::is_over(state);
    let pause =
        move || view! { <button id="chip-pause" type="button" on:click=move |_| state.send(&ToWorker::Pause)>{t.controls.pause}</button> };
    let go_on =
        move || view! { <button id="chip-continue" type="button" on:click=move |_| state.go(Go::Continuous)>{t.controls.go_on}</button> };
    view! {
        <div class="chip">
            <p id="status" role="status" data-state=move || state.phase.get().name()>{move || controls::status(state, t)}</p>
            {move || loss().map(|loss| view! { <span class="chip-loss">{loss}</span> })}
            {move || state.phase.get().is_going().then(pause)}
            {move || can_go_on().then(go_on)}
        </div>
    }
}
