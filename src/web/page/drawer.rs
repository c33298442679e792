//! The settings, in a drawer beside the views that they change; a sheet on a phone.

use leptos::prelude::*;

use super::state::State;
use super::{T, browser, setup};

/// Does the drawer stand beside the view?
pub fn is_open(state: State) -> bool {
    state.shows_settings.get() && state.route.get().has_settings()
}

pub fn view(state: State, t: T) -> impl IntoView {
    let has_settings = move || state.route.get().has_settings();
    let toggle = move |_| state.shows_settings.update(|shows| *shows = !*shows);
    let close = move |_| {
        state.shows_settings.set(false);
        browser::focus("settings-button");
    };
    view! {
        <button id="settings-button" type="button" aria-controls="settings" aria-expanded=move || is_open(state).to_string()
            class:hidden=move || !has_settings() on:click=toggle>{t.bar.settings}</button>
        <aside id="settings" tabindex="0" aria-label=t.bar.settings class:hidden=move || !is_open(state)>
            <button id="close-settings" type="button" on:click=close>{t.bar.close}</button>
            {setup::view(state, t)}
        </aside>
    }
}
