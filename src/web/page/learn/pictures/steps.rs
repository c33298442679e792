//! A step by another strategy, or by chunks of another length: its grid, and its memory through time under the budget.

use leptos::prelude::*;

use super::controls::{name, slider};
use crate::step::StrategyKind;
use crate::web::axis::{BudgetPlace, memory_scale};
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::lesson::{BUDGET, Words};
use crate::web::page::components::{axes, memory_areas};
use crate::web::page::state::LessonState;
use crate::web::page::step::grid;

/// Chunk lengths in tokens, by the places of the slider.
const CHUNKS: [u32; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
/// The places of the first chunk length.
const FIRST: usize = 1;
/// All pictures have this many bytes in their height: the peak of the standard step.
const TOP: u64 = 286 << 20;

/// Standard back-propagation beside checkpointing.
pub fn strategies(lesson: LessonState, t: T, words: &'static Words) -> impl IntoView {
    lesson.set_step(StrategyKind::Standard, CHUNKS[FIRST]);
    let button = move |kind: StrategyKind| {
        let is_chosen = move || lesson.settings.form.with(|form| form.strategy == kind);
        view! {
            <button type="button" data-strategy=kind.name() aria-pressed=move || is_chosen().to_string() on:click=move |_| lesson.set_step(kind, CHUNKS[FIRST])>
                {name(t, kind)}
            </button>
        }
    };
    view! {
        {step(lesson, t)}
        <div class="lesson-control" role="group" aria-label=words.control.clone()>
            <span>{words.control.clone()}</span>
            {[StrategyKind::Standard, StrategyKind::Checkpoint].map(button)}
            <output aria-live="polite">{move || peak(lesson)}</output>
        </div>
    }
}

/// A step of StreamBP.
pub fn chunks(lesson: LessonState, t: T, words: &'static Words) -> impl IntoView {
    lesson.set_step(StrategyKind::Stream, CHUNKS[FIRST]);
    let place = RwSignal::new(FIRST);
    let go = move |at: usize| {
        place.set(at);
        lesson.set_step(StrategyKind::Stream, CHUNKS[at]);
    };
    let text = move || fill(t.compare.tokens, &[("tokens", &whole(u64::from(CHUNKS[place.get()])))]);
    // The peak is what is asked for: it stands beside the chunk length once it is known.
    let known = move || if lesson.is_revealed() { format!("{}: {}", text(), peak(lesson)) } else { text() };
    view! {
        {step(lesson, t)}
        {slider(words, CHUNKS.len() - 1, move || place.get(), known, go)}
    }
}

fn peak(lesson: LessonState) -> String {
    lesson.step.peak_bytes().map_or_else(String::new, bytes)
}

fn step(lesson: LessonState, t: T) -> impl IntoView {
    let step = lesson.step;
    let states = grid::states(step);
    let picture = move || {
        step.plans.with(|plans| {
            let plans = plans.as_ref().ok()?;
            let scale = memory_scale(TOP, Some(BUDGET));
            let mark = match BudgetPlace::on(&scale, BUDGET) {
                BudgetPlace::At(share) => Some(view! { <div class="budget-mark" style:bottom=axes::percent(100.0 * share)></div> }),
                BudgetPlace::Above => None,
            };
            let scale = Memo::new(move |_| scale.clone());
            Some(view! {
                {grid::view(step, t, plans, states, None)}
                <div class="small-timeline">{memory_areas::view(t, plans.timeline(), scale)} {mark}</div>
            })
        })
    };
    view! { <div class="walk">{picture}</div> }
}
