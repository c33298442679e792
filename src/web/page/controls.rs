//! Start, pause, step, reset; how the run stands.

use leptos::prelude::*;

use super::state::{Phase, State};
use super::{T, saved_runs};
use crate::web::form::Field;
use crate::web::i18n::fill;
use crate::web::protocol::{Go, ToWorker};

pub fn view(state: State, t: T) -> impl IntoView {
    let phase = move || state.phase.get();
    // A run is to have the text that was given last.
    let is_busy = move || phase().is_busy() || is_over(state) || state.texts_being_read.get() > 0 || state.device.with(Option::is_none);
    let start = move || if state.has_run.get() { t.controls.go_on } else { t.controls.start };
    let is_untouched = move || !state.has_run.get() && state.history.with(|h| h.steps.is_empty()) && state.trouble.with(Option::is_none);
    // A search for the fastest kernels is no step that could be gone on with: it is left out.
    let is_searching = move || state.search.with(Option::is_some);
    let pausing = move || if is_searching() { t.roofline.skip } else { t.controls.pause };
    let pause = move |_| state.send(&if state.search.with_untracked(Option::is_some) { ToWorker::SkipSearch } else { ToWorker::Pause });
    view! {
        <section class="run" aria-labelledby="run-title">
            <h2 id="run-title">{t.controls.title}</h2>
            {move || (!state.has_run.get()).then(|| view! { <p class="hint">{t.controls.about}</p> })}
            {saved_runs::view(state, t)}
            <div class="buttons">
                <button id="start" aria-describedby="why-not" class="primary" type="button" disabled=is_busy on:click=move |_| state.go(Go::Continuous)>{start}</button>
                <button id="pause" aria-describedby="why-not" type="button" disabled=move || !phase().is_going() && !is_searching() on:click=pause>{pausing}</button>
                <button id="step" aria-describedby="why-not" type="button" disabled=is_busy on:click=move |_| state.go(Go::OneStep)>{t.controls.step}</button>
                <button id="reset" aria-describedby="why-not" type="button" disabled=is_untouched on:click=move |_| state.send(&ToWorker::Reset)>
                    {t.controls.reset}
                </button>
            </div>
            <p id="why-not" class="hint">{move || why_not(state, t)}</p>
            {move || state.device.get().map(|device| view! { <p id="device" class="hint">{device.name}</p> })}
        </section>
    }
}

/// Are all steps of the run done?
pub fn is_over(state: State) -> bool {
    let steps = state.form.with(|form| form.get(Field::Steps).trim().parse().unwrap_or(u64::MAX));
    state.has_run.get() && state.history.with(|history| history.steps.last().is_some_and(|report| report.step >= steps))
}

/// Why buttons are disabled, if they are.
fn why_not(state: State, t: T) -> Option<&'static str> {
    match state.phase.get() {
        Phase::Loading | Phase::Resuming => None,
        Phase::Training | Phase::Stepping => Some(t.controls.pause_first),
        _ if state.texts_being_read.get() > 0 => Some(t.controls.text_first),
        _ if state.device.with(Option::is_none) => Some(t.controls.no_device),
        _ if is_over(state) => Some(t.controls.finished_about),
        _ => None,
    }
}

/// How the run stands, in words.
pub fn status(state: State, t: T) -> String {
    if let Some(share) = state.search.get() {
        return fill(t.roofline.searching, &[("percent", &(100.0 * share).round())]);
    }
    let words = match state.phase.get() {
        Phase::Loading => t.controls.loading,
        Phase::Ready => t.controls.ready,
        Phase::Resuming => t.controls.resuming,
        Phase::Training => t.controls.training,
        Phase::Stepping => t.controls.stepping,
        Phase::Waiting => t.controls.waiting,
        Phase::Paused if is_over(state) => t.controls.finished,
        Phase::Paused => t.controls.paused,
        Phase::Error if state.device.with(Option::is_none) => t.controls.no_gpu,
        Phase::Error => t.controls.stopped,
    };
    words.to_owned()
}
