//! What was learned, for the visitor to keep; what the browser saves.

use leptos::prelude::*;

use super::T;
use super::state::State;
use crate::web::i18n::fill;
use crate::web::protocol::Storage;

pub fn view(state: State, t: T) -> impl IntoView {
    view! {
        <section aria-labelledby="keep-title">
            <h2 id="keep-title">{t.saving.title}</h2>
            <p class="hint">{t.saving.about} " " {move || saving(state, t)}</p>
            <div class="buttons">
                <button id="export" type="button" disabled=move || !state.has_run.get() || state.phase.get().is_busy()
                    on:click=move |_| state.export()>{t.saving.export}</button>
            </div>
        </section>
    }
}

/// When runs are saved, where they are.
fn saving(state: State, t: T) -> Option<String> {
    match (state.storage.get()?, state.saved_after.get()) {
        (Storage::Works, None) => Some(t.saving.storage_about.to_owned()),
        (Storage::Works, Some(step)) => Some(format!("{} {}", t.saving.storage_about, fill(t.saving.saved_after, &[("step", &step)]))),
        _ => None,
    }
}

/// What the visitor should know where runs cannot be saved.
pub fn storage_notice(state: State, t: T) -> Option<String> {
    match state.storage.get()? {
        Storage::Works => None,
        Storage::Refuses(reason) => Some(fill(t.saving.storage_refuses, &[("reason", &reason)])),
        Storage::IsFull => Some(t.saving.storage_full.to_owned()),
    }
}
