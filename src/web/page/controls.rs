//! Start, pause, step, reset; the status; what is wrong.

use leptos::prelude::*;

use super::state::{Phase, State};
use crate::web::protocol::Go;
use crate::web::texts;

pub fn view(state: State) -> impl IntoView {
    let phase = move || state.phase.get();
    let is_busy = move || matches!(phase(), Phase::Loading | Phase::Training);
    let start = move || if state.has_run.get() { texts::CONTINUE } else { texts::START };
    let is_finished = move || !state.has_run.get() && state.steps.with(Vec::is_empty) && state.error.with(Option::is_none);
    view! {
        <section aria-labelledby="training-title">
            <h2 id="training-title">{texts::TRAINING}</h2>
            <div class="buttons">
                <button id="start" class="primary" type="button" disabled=is_busy on:click=move |_| state.go(Go::On)>{start}</button>
                <button id="pause" type="button" disabled=move || phase() != Phase::Training on:click=move |_| state.pause()>
                    {texts::PAUSE}
                </button>
                <button id="step" type="button" disabled=is_busy on:click=move |_| state.go(Go::Once)>{texts::STEP}</button>
                <button id="reset" type="button" disabled=is_finished on:click=move |_| state.reset()>{texts::RESET}</button>
            </div>
            <p id="status" role="status" data-state=move || name(phase())>{move || status(state)}</p>
            {move || state.complaint().map(|complaint| view! { <p id="error" role="alert">{complaint}</p> })}
        </section>
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Loading => "loading",
        Phase::Ready => "ready",
        Phase::Training => "training",
        Phase::Paused => "paused",
        Phase::Error => "error",
    }
}

fn status(state: State) -> String {
    let words = match state.phase.get() {
        Phase::Loading => texts::LOADING,
        Phase::Ready => texts::READY,
        Phase::Training => texts::TRAINS,
        Phase::Paused => texts::PAUSED,
        Phase::Error => texts::STOPPED,
    };
    match state.device.get() {
        Some(device) => format!("{words} · {}", device.name),
        None => words.to_owned(),
    }
}
