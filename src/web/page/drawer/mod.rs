//! The settings, in a drawer beside the views that they change; a sheet on a phone.

mod adapters;
mod data;
mod field;
mod model;
mod objective;
mod open_model;
pub mod saved_activations;
mod text;

pub use open_model::chooser;

use leptos::prelude::*;

use super::browser;
use super::state::State;
use crate::web::i18n::T;

/// Does the drawer stand beside the view?
pub fn is_open(state: State) -> bool {
    state.shell.shows_settings.get() && state.shell.route.get().has_settings()
}

pub fn view(state: State, t: T) -> impl IntoView {
    let has_settings = move || state.shell.route.get().has_settings();
    let toggle = move |_| state.shell.shows_settings.update(|shows| *shows = !*shows);
    let close = move |_| {
        state.shell.shows_settings.set(false);
        browser::focus("settings-button");
    };
    view! {
        <button id="settings-button" type="button" aria-controls="settings" aria-expanded=move || is_open(state).to_string()
            class:hidden=move || !has_settings() on:click=toggle>{t.bar.settings}</button>
        <aside id="settings" tabindex="0" aria-label=t.bar.settings class:hidden=move || !is_open(state)>
            <button id="close-settings" type="button" on:click=close>{t.bar.close}</button>
            {settings(state, t)}
        </aside>
    }
}

fn settings(state: State, t: T) -> impl IntoView {
    let is_locked = move || state.run.has_run.get();
    view! {
        <section aria-labelledby="data-title">
            <h2 id="data-title">{t.data.title}</h2>
            {move || is_locked().then(|| view! { <p class="note">{t.data.locked}</p> })}
            <fieldset disabled=is_locked>{data::view(state, t)}</fieldset>
        </section>
        <section aria-labelledby="model-title">
            <h2 id="model-title">{t.model.title}</h2>
            <fieldset disabled=is_locked>{model::view(state, t)}</fieldset>
        </section>
    }
}
