//! Start, pause, step, reset; the status; what is wrong, and what would fit.

use leptos::prelude::*;

use super::T;
use super::state::{Phase, State};
use crate::step::Strategy;
use crate::train::Suggestion;
use crate::web::form::Field;
use crate::web::protocol::{Go, ToWorker};
use crate::web::texts::fill;

pub fn view(state: State, t: T) -> impl IntoView {
    let phase = move || state.phase.get();
    let is_busy = move || matches!(phase(), Phase::Loading | Phase::Training | Phase::Stepping);
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
            {move || saved(state, t)}
            <div class="buttons">
                <button id="start" class="primary" type="button" disabled=is_busy on:click=move |_| state.go(Go::On)>{start}</button>
                <button id="pause" type="button" disabled=move || !phase().is_going() && !is_searching() on:click=pause>{pausing}</button>
                <button id="step" type="button" disabled=is_busy on:click=move |_| state.go(Go::Once)>{t.controls.step}</button>
                <button id="reset" type="button" disabled=is_untouched on:click=move |_| state.send(&ToWorker::Reset)>
                    {t.controls.reset}
                </button>
            </div>
            <p id="status" role="status" data-state=move || phase().name().to_owned()>{move || status(state, t)}</p>
            {notice}
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

/// A run that was saved at an earlier visit.
fn saved(state: State, t: T) -> Option<impl IntoView> {
    let (_, step) = state.saved.get().filter(|_| !state.has_run.get())?;
    Some(view! {
        <div class="note saved">
            <span>{fill(t.keep.saved, &[("step", &step)])}</span>
            <button id="resume" type="button" disabled=move || state.library.is_busy.get()
                on:click=move |_| state.resume()>{t.keep.resume}</button>
            <button id="forget" type="button" on:click=move |_| state.send(&ToWorker::Forget)>{t.keep.forget}</button>
        </div>
    })
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
    let words = match state.phase.get() {
        Phase::Loading => t.controls.loading,
        Phase::Ready => t.controls.ready,
        Phase::Training => t.controls.training,
        Phase::Stepping => t.controls.stepping,
        Phase::Paused => t.controls.paused,
        Phase::Error => t.controls.stopped,
    };
    match state.device.get() {
        Some(device) => format!("{words} · {}", device.name),
        None => words.to_owned(),
    }
}
