//! Slow motion: strides by button and key, or so many in a second.

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::film;
use crate::step::Granularity;
use crate::web::format::digits;
use crate::web::i18n::{T, fill};
use crate::web::page::components::why_not;
use crate::web::page::state::{Phase, State};
use crate::web::protocol::{Go, ToWorker};

/// Strides that are offered; a whole step has its own button.
const STRIDES: [Granularity; 4] = [Granularity::Operation, Granularity::Chunk, Granularity::Layer, Granularity::Pass];
/// Strides a second, by the places of the slider.
const SPEEDS: [f64; 9] = [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 1000.0];

pub fn view(state: State, t: T) -> impl IntoView {
    let is_busy = move || state.run.phase.get().is_busy();
    let buttons = STRIDES.map(|stride| {
        let name = fill(t.step_grid.by, &[("stride", &t.stride(stride))]);
        view! {
            <button id=format!("by-{}", stride.name()) type="button" aria-describedby="slow-why-not" disabled=is_busy on:click=move |_| state.go(Go::Granularity(stride))>{name}</button>
        }
    });
    let stride_option = |stride: Granularity| {
        let is_chosen = move || state.step.pace.with(|pace| pace.0 == stride);
        view! { <option value=stride.name() prop:selected=is_chosen>{t.stride(stride).to_owned()}</option> }
    };
    let choose = move |name: String| {
        let chosen = STRIDES.into_iter().find(|stride| stride.name() == name);
        state.step.pace.update(|pace| pace.0 = chosen.unwrap_or(pace.0));
        keep_pace(state);
    };
    let speed = move |place: String| {
        let place = place.parse::<usize>().unwrap_or(0).min(SPEEDS.len() - 1);
        state.step.pace.update(|pace| pace.1 = place);
        keep_pace(state);
    };
    let speed_text = move || fill(t.step_grid.speed_unit, &[("speed", &digits(SPEEDS[state.step.pace.get().1]))]);
    view! {
        <div class="slow" role="group" aria-labelledby="slow-title">
            <h3 id="slow-title">{t.step_grid.slow}</h3>
            <p class="hint">{t.step_grid.slow_about}</p>
            <div class="buttons">
                {buttons}
                <button id="back" type="button" aria-describedby="slow-why-not" disabled=move || is_busy() || !state.run.stands_within_a_step()
                    on:click=move |_| back(state)>{move || fill(t.step_grid.back, &[("stride", &t.stride(state.step.pace.get().0))])}</button>
            </div>
            {why_not::view(state, t, "slow-why-not")}
            <div class="play">
                {move || match state.run.phase.get() {
                    Phase::Stepping => view! {
                        <button id="pause-play" type="button" on:click=move |_| state.send(&ToWorker::Pause)>{t.controls.pause}</button>
                    }.into_any(),
                    _ => view! {
                        <button id="play" type="button" aria-describedby="slow-why-not" disabled=is_busy on:click=move |_| play(state)>{t.step_grid.play}</button>
                    }.into_any(),
                }}
                <select id="stride" aria-label=t.step_grid.slow on:change=move |event| choose(event_target_value(&event))>
                    {STRIDES.map(stride_option)}
                </select>
                <input id="speed" type="range" min="0" max=(SPEEDS.len() - 1).to_string() step="1" aria-label=t.step_grid.speed
                    aria-valuetext=speed_text prop:value=move || state.step.pace.get().1.to_string()
                    on:input=move |event| speed(event_target_value(&event))/>
                <span class="number">{speed_text}</span>
            </div>
        </div>
    }
}

/// Goes back by the stride that is chosen.
fn back(state: State) {
    if state.run.stands_within_a_step() {
        state.run.phase.set(Phase::Stepping);
        state.step.cursor.set(None);
        state.step.inspected.set(None);
        state.send(&ToWorker::Back(state.step.pace.get_untracked().0));
    }
}

fn play(state: State) {
    let (stride, place) = state.step.pace.get_untracked();
    state.go(Go::Slow(stride, SPEEDS[place]));
}

/// A pace that is changed while it plays is taken at once.
fn keep_pace(state: State) {
    if state.run.phase.get_untracked() == Phase::Stepping {
        play(state);
    }
}

/// A key that was pressed with the grid in focus.
pub fn key(state: State, event: &KeyboardEvent) {
    // Without a device, or before a run, the keys move the film.
    if state.device.adapter.with_untracked(Option::is_none) {
        return film::key(state.step, event);
    }
    if event.key() == "ArrowLeft" {
        event.prevent_default();
        return untrack(|| back(state));
    }
    let stride = match (event.key().as_str(), event.shift_key()) {
        ("ArrowRight", false) => Granularity::Operation,
        ("ArrowRight", true) => Granularity::Chunk,
        ("ArrowUp", false) => Granularity::Layer,
        ("ArrowUp", true) => Granularity::Pass,
        (" ", _) => {
            event.prevent_default();
            return if state.run.phase.get_untracked().is_going() { state.send(&ToWorker::Pause) } else { play(state) };
        }
        _ => return,
    };
    event.prevent_default();
    if matches!(state.run.phase.get_untracked(), Phase::Ready | Phase::Paused) {
        state.go(Go::Granularity(stride));
    }
}
