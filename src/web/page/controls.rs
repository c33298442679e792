//! Start, pause, step, reset; the status; what is wrong, and what would fit.

use leptos::prelude::*;

use super::state::{Phase, State, Wait};
use super::{T, keep, saved_runs};
use crate::step::Strategy;
use crate::train::Suggestion;
use crate::web::form::Field;
use crate::web::protocol::{Go, ToWorker};
use crate::web::texts::fill;

pub fn view(state: State, t: T) -> impl IntoView {
    let phase = move || state.phase.get();
    // A run is to have the text that was given last.
    let is_busy = move || phase().is_busy() || state.texts_being_read.get() > 0;
    let start = move || if state.has_run.get() { t.controls.go_on } else { t.controls.start };
    let is_untouched = move || !state.has_run.get() && state.history.with(|h| h.steps.is_empty()) && state.trouble.with(Option::is_none);
    // A search for the fastest kernels is no step that could be gone on with: it is left out.
    let is_searching = move || state.search.with(Option::is_some);
    let pausing = move || if is_searching() { t.roofline.skip } else { t.controls.pause };
    let pause = move |_| state.send(&if state.search.with_untracked(Option::is_some) { ToWorker::SkipSearch } else { ToWorker::Pause });
    let notice = move || state.notice.get().map(|notice| view! { <p id="notice" class="note" role="status">{notice}</p> });
    view! {
        <section class="run" aria-labelledby="run-title">
            <h2 id="run-title">{t.controls.title}</h2>
            {saved_runs::view(state, t)}
            <div class="buttons">
                <button id="start" class="primary" type="button" disabled=is_busy on:click=move |_| state.go(Go::On)>{start}</button>
                <button id="pause" type="button" disabled=move || !phase().is_going() && !is_searching() on:click=pause>{pausing}</button>
                <button id="step" type="button" disabled=is_busy on:click=move |_| state.go(Go::Once)>{t.controls.step}</button>
                <button id="reset" type="button" disabled=is_untouched on:click=move |_| state.send(&ToWorker::Reset)>
                    {t.controls.reset}
                </button>
            </div>
            <p id="status" role="status" data-state=move || phase().name().to_owned()>{move || status(state, t)}</p>
            {move || state.wait.get().map(|wait| while_waiting(state, t, &wait))}
            {notice}
            {move || keep::storage_notice(state, t).map(|sentence| view! { <p id="storage" class="note" role="status">{sentence}</p> })}
            {move || state.complaint().map(|trouble| {
                view! {
                    <div class="trouble">
                        <p id="error" role="alert">{trouble.message}</p>
                        {trouble.suggestion.map(|suggestion| apply(state, t, suggestion))}
                    </div>
                }
            })}
        </section>
    }
}

/// What a visitor can do for a run that waits for a device.
fn while_waiting(state: State, t: T, wait: &Wait) -> impl IntoView + use<> {
    let export = (wait.step > 0).then(|| {
        view! { <button id="export-waiting" type="button" on:click=move |_| state.export()>{t.keep.export}</button> }
    });
    view! {
        <div class="buttons">
            <button id="open-now" type="button" on:click=move |_| state.send(&ToWorker::OpenNow)>{t.controls.open_now}</button>
            {export}
        </div>
    }
}

fn waiting(t: T, wait: &Wait) -> String {
    let problem = wait.problem.as_deref().unwrap_or(t.controls.no_adapter);
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("problem", &problem), ("step", &wait.step), ("attempt", &(wait.attempts + 1)), ("seconds", &wait.seconds)];
    fill(t.controls.waiting_for_device, &values)
}

/// Puts what would fit into the form.
fn apply(state: State, t: T, suggestion: Suggestion) -> impl IntoView {
    let text = fill(t.controls.apply_suggestion, &[("seq-len", &suggestion.seq_len), ("chunk", &suggestion.chunk)]);
    let apply = move |_| {
        state.form.update(|form| {
            form.set_strategy(
                Strategy::stream(suggestion.chunk, suggestion.chunk).offloading(form.offload).with_adaptive_chunks(form.adaptive_chunks),
            );
            form.set(Field::SeqLen, suggestion.seq_len);
        });
    };
    view! { <button id="apply-suggestion" type="button" on:click=apply>{text}</button> }
}

fn status(state: State, t: T) -> String {
    if let Some(share) = state.search.get() {
        return fill(t.roofline.searching, &[("percent", &(100.0 * share).round())]);
    }
    if let Some(wait) = state.wait.get() {
        return waiting(t, &wait);
    }
    let words = match state.phase.get() {
        Phase::Loading => t.controls.loading,
        Phase::Ready => t.controls.ready,
        Phase::Resuming => t.controls.resuming,
        Phase::Training => t.controls.training,
        Phase::Stepping => t.controls.stepping,
        // Before it is known what it waits for.
        Phase::Waiting => t.controls.loading,
        Phase::Paused => t.controls.paused,
        Phase::Error => t.controls.stopped,
    };
    match state.device.get() {
        Some(device) => format!("{words} · {}", device.name),
        None => words.to_owned(),
    }
}
