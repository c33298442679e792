//! What was learned, for the visitor to keep; what the browser saves.

use leptos::prelude::*;

use crate::web::i18n::{T, fill};
use crate::web::page::state::{Saves, State};
use crate::web::protocol::Storage;

pub fn view(state: State, t: T) -> impl IntoView {
    let why_not = move || match state.run.phase.get() {
        _ if !state.run.has_run.get() => Some(t.saving.needs_run),
        phase if phase.is_busy() => Some(t.saving.pause_first),
        _ => None,
    };
    view! {
        <section aria-labelledby="keep-title">
            <h2 id="keep-title">{t.saving.title}</h2>
            <p class="hint">{t.saving.about} " " {move || saving(state.saves, t)}</p>
            <div class="buttons">
                <button id="export" type="button" aria-describedby="export-why-not" disabled=move || !state.run.has_run.get() || state.run.phase.get().is_busy()
                    on:click=move |_| state.export()>{t.saving.export}</button>
                <button id="export-run" type="button" aria-describedby="export-why-not" disabled=move || !state.run.has_run.get() || state.run.phase.get().is_busy()
                    on:click=move |_| state.export_run()>{t.saving.export_run}</button>
            </div>
            <p class="hint">{t.saving.export_run_about}</p>
            <p id="export-why-not" class="hint">{why_not}</p>
        </section>
    }
}

/// When runs are saved, where they are.
fn saving(saves: Saves, t: T) -> Option<String> {
    match (saves.storage.get()?, saves.saved_after.get()) {
        (Storage::Works, None) => Some(t.saving.storage_about.to_owned()),
        (Storage::Works, Some(step)) => Some(format!("{} {}", t.saving.storage_about, fill(t.saving.saved_after, &[("step", &step)]))),
        _ => None,
    }
}
