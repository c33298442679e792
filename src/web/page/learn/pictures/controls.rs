//! The controls of the lesson's pictures.

use leptos::prelude::*;

use crate::step::StrategyKind;
use crate::web::i18n::{T, fill};
use crate::web::lesson::Words;
use crate::web::page::learn::lesson::Lesson;
use crate::web::page::state::State;

/// A slider over places, with its name and what it stands at.
pub fn slider(
    words: &'static Words,
    last: usize,
    place: impl Fn() -> usize + Copy + Send + Sync + 'static,
    text: impl Fn() -> String + Clone + Send + Sync + 'static,
    go: impl Fn(usize) + 'static,
) -> impl IntoView {
    let slide = move |value: String| value.parse().into_iter().for_each(&go);
    let spoken = text.clone();
    view! {
        <div class="lesson-control">
            <label for="lesson-control">{words.control.clone()}</label>
            <input id="lesson-control" type="range" min="0" max=last step="1" autocomplete="off" prop:value=move || place().to_string() aria-valuetext=spoken
                on:input=move |event| slide(event_target_value(&event))/>
            <output for="lesson-control" aria-live="off">{text}</output>
        </div>
    }
}

/// A button that measures on the visitor's device; where there is none, a note that what is shown was recorded.
pub fn measure(
    lesson: Lesson,
    t: T,
    words: &'static Words,
    is_busy: impl Fn(State) -> bool + Copy + Send + Sync + 'static,
    is_here: impl Fn(State) -> bool + Copy + Send + Sync + 'static,
    measure: impl Fn(State) + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let device = move || lesson.device.filter(|state| state.device.adapter.with(Option::is_some));
    let button = move || {
        device().map(|state| {
            let barred = move || state.run.phase.get().is_busy() || is_busy(state);
            view! {
                <button id="lesson-measure" type="button" disabled=barred on:click=move |_| measure(state)>
                    {move || if is_busy(state) { t.compare.measuring.to_owned() } else { words.control.clone() }}
                </button>
            }
        })
    };
    let note = move || match device() {
        Some(state) if is_here(state) => {
            let adapter = state.device.adapter.with(|adapter| adapter.as_ref().map(|adapter| adapter.name.clone()));
            Some(fill(t.learn.measured, &[("adapter", &adapter.unwrap_or_default())]))
        }
        _ => lesson
            .lesson
            .recorded
            .with(|recorded| recorded.as_ref().map(|recorded| fill(t.learn.recorded, &[("adapter", &recorded.adapter)]))),
    };
    view! { <div class="lesson-control">{button} <p class="hint" id="measured-where">{note}</p></div> }
}

/// The name of a strategy, as See has it.
pub fn name(t: T, kind: StrategyKind) -> &'static str {
    crate::web::see::name(t, kind)
}
