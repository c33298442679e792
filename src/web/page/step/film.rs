//! The step as a film: the plan is played through grid and timeline, forward and back, without a device.

use std::time::Duration;

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use crate::step::{Granularity, Pass};
use crate::web::format::digits;
use crate::web::i18n::{T, fill};
use crate::web::page::state::{Direction, StepState};

/// Strides that are offered.
const STRIDES: [Granularity; 4] = [Granularity::Operation, Granularity::Chunk, Granularity::Layer, Granularity::Pass];
/// Strides a second at the speed 1.
const NORMAL: f64 = 2.0;
/// Speeds, by the places of the slider.
const SPEEDS: [f64; 7] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];

pub fn view(step: StepState, t: T) -> impl IntoView {
    let film = step.film;
    let way = move |id: &'static str, direction: Direction, name: &'static str| {
        let is_on = move || film.playing.get() == Some(direction);
        view! {
            <button id=id type="button" aria-pressed=move || is_on().to_string() on:click=move |_| toggle(step, direction)>
                {move || if is_on() { t.controls.pause } else { name }}
            </button>
        }
    };
    let option = move |stride: Granularity| {
        view! { <option value=stride.name() prop:selected=move || film.stride.get() == stride>{t.stride(stride).to_owned()}</option> }
    };
    let choose = move |name: String| STRIDES.into_iter().filter(|stride| stride.name() == name).for_each(|stride| film.stride.set(stride));
    let speed_text = move || fill(t.step_grid.film_speed, &[("speed", &digits_of(SPEEDS[film.speed.get()]))]);
    let speed = move |place: String| film.speed.set(place.parse::<usize>().unwrap_or(2).min(SPEEDS.len() - 1));
    let go = move |direction: Direction| {
        film.playing.set(None);
        turn(step, direction);
    };
    view! {
        <div class="slow" role="group" aria-labelledby="film-title">
            <h3 id="film-title">{t.step_grid.film}</h3>
            <p class="hint">{t.step_grid.film_about}</p>
            <div class="play">
                <button id="film-previous" type="button" aria-label=t.step_grid.film_previous data-tip=t.step_grid.film_previous on:click=move |_| go(Direction::Back)>"‹"</button>
                {way("film-back", Direction::Back, t.step_grid.film_back)}
                {way("film-play", Direction::Forward, t.step_grid.film_play)}
                <button id="film-next" type="button" aria-label=t.step_grid.film_next data-tip=t.step_grid.film_next on:click=move |_| go(Direction::Forward)>"›"</button>
                <select id="film-stride" aria-label=t.step_grid.film on:change=move |event| choose(event_target_value(&event))>{STRIDES.map(option)}</select>
                <input id="film-speed" type="range" min="0" max=SPEEDS.len() - 1 step="1" aria-label=t.step_grid.speed aria-valuetext=speed_text
                    prop:value=move || film.speed.get().to_string() on:input=move |event| speed(event_target_value(&event))/>
                <span class="number">{speed_text}</span>
            </div>
        </div>
    }
}

fn digits_of(speed: f64) -> String {
    if speed < 1.0 { format!("1/{:.0}", 1.0 / speed) } else { digits(speed).trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// A key that was pressed with the grid in focus.
pub fn key(step: StepState, event: &KeyboardEvent) {
    match event.key().as_str() {
        "ArrowRight" => drop(turn(step, Direction::Forward)),
        "ArrowLeft" => drop(turn(step, Direction::Back)),
        " " => toggle(step, Direction::Forward),
        _ => return,
    }
    event.prevent_default();
}

/// Plays that way, or stops.
fn toggle(step: StepState, direction: Direction) {
    let film = step.film;
    if film.playing.get_untracked() == Some(direction) {
        return film.playing.set(None);
    }
    let was_playing = film.playing.get_untracked().is_some();
    film.playing.set(Some(direction));
    // From the end it begins anew.
    if !turn(step, direction) {
        step.cursor.set(Some(if direction == Direction::Forward { 0 } else { u64::MAX }));
    }
    if !was_playing {
        play_on(step);
    }
}

/// Turns, and again after a while.
fn play_on(step: StepState) {
    let film = step.film;
    let later = move || {
        let Some(direction) = film.playing.get_untracked() else { return };
        if turn(step, direction) {
            play_on(step);
        } else {
            film.playing.set(None);
        }
    };
    set_timeout(later, Duration::from_secs_f64(1.0 / (NORMAL * SPEEDS[film.speed.get_untracked()])));
}

/// Goes one stride on or back. Is that within the step?
fn turn(step: StepState, direction: Direction) -> bool {
    let plans = step.plans.get_untracked();
    let Ok(plans) = &plans else { return false };
    let (program, stride) = (plans.chosen().program(), step.film.stride.get_untracked());
    // What is sampled for later steps is no part of it.
    let all = program.span(Pass::STEP).end;
    // The turn that is shown is the last one that is done.
    let done = (step.shown_turn_untracked() + 1).min(all);
    let next = match direction {
        Direction::Forward => program.granularity_end(done, stride),
        Direction::Back => program.granularity_start(done, stride).max(1),
    };
    step.cursor.set(Some(next - 1));
    match direction {
        Direction::Forward => done < all,
        Direction::Back => done > 1,
    }
}
