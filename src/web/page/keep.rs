//! What was learned, for the visitor to keep; what the browser keeps.

use leptos::prelude::*;

use super::T;
use super::state::State;

pub fn view(state: State, t: T) -> impl IntoView {
    view! {
        <section aria-labelledby="keep-title">
            <h2 id="keep-title">{t.keep.title}</h2>
            <p class="hint">{t.keep.about} " " {t.keep.storage_about}</p>
            <div class="buttons">
                <button id="export" type="button" disabled=move || !state.has_run.get() || state.phase.get().is_going()
                    on:click=move |_| state.export()>{t.keep.export}</button>
            </div>
        </section>
    }
}
