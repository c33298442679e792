//! Start, pause, step, reset.

use leptos::prelude::*;

use super::{completions, saved_runs};
use crate::web::i18n::T;
use crate::web::page::components::why_not;
use crate::web::page::state::State;
use crate::web::protocol::{Go, ToWorker};

pub fn view(state: State, t: T) -> impl IntoView {
    let phase = move || state.run.phase.get();
    // A run is to have the text that was given last.
    let is_busy = move || {
        phase().is_busy()
            || state.run.is_over.get()
            || state.settings.texts_being_read.get() > 0
            || state.device.adapter.with(Option::is_none)
    };
    let start = move || if state.run.has_run.get() { t.controls.go_on } else { t.controls.start };
    let is_untouched =
        move || !state.run.has_run.get() && state.run.history.with(|h| h.steps.is_empty()) && state.notices.trouble.with(Option::is_none);
    // A search for the fastest kernels is no step that could be gone on with: it is left out.
    let is_searching = move || state.device.search.with(Option::is_some);
    let pausing = move || if is_searching() { t.roofline.skip } else { t.controls.pause };
    let pause =
        move |_| state.send(&if state.device.search.with_untracked(Option::is_some) { ToWorker::SkipSearch } else { ToWorker::Pause });
    view! {
        <section class="run" aria-labelledby="run-title">
            <h2 id="run-title">{t.controls.title}</h2>
            {move || (!state.run.has_run.get()).then(|| view! { <p class="hint">{t.controls.about}</p> })}
            {saved_runs::view(state, t)}
            <div class="buttons">
                <button id="start" aria-describedby="why-not" class="primary" type="button" disabled=is_busy on:click=move |_| state.go(Go::Continuous)>{start}</button>
                <button id="pause" aria-describedby="why-not" type="button" disabled=move || !phase().is_going() && !is_searching() on:click=pause>{pausing}</button>
                <button id="step" aria-describedby="why-not" type="button" disabled=is_busy on:click=move |_| state.go(Go::OneStep)>{t.controls.step}</button>
                <button id="reset" aria-describedby="why-not" type="button" disabled=is_untouched on:click=move |_| state.send(&ToWorker::Reset)>
                    {t.controls.reset}
                </button>
            </div>
            {why_not::view(state, t, "why-not")}
            <div class="buttons">
                <button id="copy-command" type="button" on:click=move |_| state.copy_command()>{t.controls.command}</button>
            </div>
            {move || (!state.run.has_run.get()).then(|| completions::button(t, is_busy, move |form| state.start_with(form)))}
            {move || state.run.is_over.get().then(|| view! { <p class="hint">{t.controls.finished_about}</p> })}
            {move || state.device.adapter.get().map(|device| view! { <p id="device" class="hint">{device.name}</p> })}
        </section>
    }
}
