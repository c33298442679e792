//! The bar above every view: where one can go, the run, language and theme, the link.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::state::State;
use super::{addressing, browser, chip, learn, preferences};
use crate::web::i18n::T;
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
            {chip::view(state, t)}
            <div class="preferences">
                {preferences::view(state, t)}
                <button id="present" type="button" on:click=move |_| learn::begin(state)>{t.bar.present}</button>
                <button id="copy-link" type="button" on:click=copy>
                    {move || if copied.get() { t.bar.link_copied } else { t.bar.link }}
                </button>
            </div>
        </header>
    }
}

fn link(state: State, t: T, route: Route) -> impl IntoView {
    let is_here = move || state.shell.route.get() == route;
    view! {
        <a href=move || addressing::link(state, route) data-route=route.name() aria-current=move || is_here().then_some("page")>
            {t.route(route).to_owned()}
        </a>
    }
}
