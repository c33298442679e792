//! How the run stands, from every view.

use leptos::prelude::*;

use super::state::{Phase, State};
use crate::web::i18n::{T, fill};
use crate::web::protocol::{Go, ToWorker};

pub fn view(state: State, t: T) -> impl IntoView {
    let loss =
        move || state.run.history.with(|history| history.steps.last().map(|report| format!("{} {:.4}", t.training.loss, report.loss)));
    let can_go_on = move || state.run.has_run.get() && !state.run.phase.get().is_busy() && !state.run.is_over.get();
    let pause =
        move || view! { <button id="chip-pause" type="button" on:click=move |_| state.send(&ToWorker::Pause)>{t.controls.pause}</button> };
    let go_on =
        move || view! { <button id="chip-continue" type="button" on:click=move |_| state.go(Go::Continuous)>{t.controls.go_on}</button> };
    view! {
        <div class="chip">
            <p id="status" role="status" data-state=move || state.run.phase.get().name()>{move || status(state, t)}</p>
            {move || state.run.preparing.get().map(|(done, all)| {
                view! { <progress max=all.to_string() value=done.to_string() aria-label=t.controls.preparing_label></progress> }
            })}
            {move || state.run.asking.get().map(|(done, all)| {
                view! { <progress max=all.to_string() value=done.to_string() aria-label=t.controls.asking_label></progress> }
            })}
            {move || loss().map(|loss| view! { <span class="chip-loss">{loss}</span> })}
            {move || state.run.phase.get().is_going().then(pause)}
            {move || can_go_on().then(go_on)}
        </div>
    }
}

/// How the run stands, in words.
fn status(state: State, t: T) -> String {
    if let Some(share) = state.device.search.get() {
        return fill(t.roofline.searching, &[("percent", &(100.0 * share).round())]);
    }
    if let Some((done, all)) = state.run.preparing.get() {
        return fill(t.controls.preparing, &[("done", &done), ("all", &all)]);
    }
    if let Some((done, all)) = state.run.asking.get() {
        return fill(t.controls.asking, &[("done", &done), ("all", &all)]);
    }
    let words = match state.run.phase.get() {
        Phase::Loading => t.controls.loading,
        Phase::Ready => t.controls.ready,
        Phase::Resuming => t.controls.resuming,
        Phase::Training => t.controls.training,
        Phase::Stepping => t.controls.stepping,
        Phase::Waiting => t.controls.waiting,
        Phase::Paused if state.run.is_over.get() => t.controls.finished,
        Phase::Paused => t.controls.paused,
        Phase::Error if state.device.adapter.with(Option::is_none) => t.controls.no_gpu,
        Phase::Error => t.controls.stopped,
    };
    words.to_owned()
}
