//! Memory through the step: areas by kind, the peak, the moment that is shown, and the budget, which can be dragged.

use std::sync::Arc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent, PointerEvent};

use super::state::{Plans, State};
use super::{T, browser, export, stage};
use crate::step::Pass;
use crate::web::form::Field;
use crate::web::format::{bytes, whole};
use crate::web::picture::{HEIGHT, Part, Timeline};
use crate::web::texts::fill;

/// Room above the peak, as a share of it.
const HEADROOM: f64 = 1.2;

pub fn view(state: State, t: T, plans: &Arc<Plans>) -> impl IntoView {
    let timeline = plans.timeline();
    let turns = timeline.turns;
    let peak_bytes = plans.chosen().peak_bytes();
    let most = (peak_bytes as f64 * HEADROOM) as u64;
    let point = move |event: PointerEvent| {
        let share = browser::share_across(&event);
        state.pointed.set(Some(((share * turns as f64) as u64).min(turns - 1)));
    };
    let moment = {
        let plans = plans.clone();
        move |value: String| state.cursor.set(value.parse().ok().map(|turn: u64| turn.min(plans.timeline().turns - 1)))
    };
    let spoken = {
        let plans = plans.clone();
        move || {
            let (op, place) = stage::place(t, &plans, state.shown_turn());
            format!("{op}, {place}")
        }
    };
    let picture = {
        let plans = plans.clone();
        move || match state.without_model.get() {
            false => areas(t, plans.timeline(), most).into_any(),
            true => {
                let timeline = plans.timeline().without_model();
                areas(t, &timeline, (timeline.most() as f64 * HEADROOM) as u64).into_any()
            }
        }
    };
    let number = move || fill(t.stage.moment_at, &[("number", &whole(state.shown_turn() + 1)), ("all", &whole(turns))]);
    let cursor = move || format!("{:.3}%", 100.0 * (state.shown_turn() as f64 + 0.5) / turns as f64);
    view! {
        <h3>{t.stage.timeline}</h3>
        <p class="hint">{t.stage.timeline_about}</p>
        <div class="timeline" id="timeline" data-peak-turn=timeline.peak data-turns=turns>
            <div class="picture" on:pointermove=point on:pointerleave=move |_| state.pointed.set(None)>
                {picture}
                {peak(t, plans)}
                <div class="cursor" style:left=cursor></div>
            </div>
            <div class:hidden=move || state.without_model.get()>{budget(state, t, most, peak_bytes)}</div>
            {passes(t, timeline)}
            <input id="moment" type="range" min="0" max=(turns - 1).to_string() step="1" aria-label=t.stage.moment aria-valuetext=spoken
                prop:value=move || state.shown_turn().to_string() on:input=move |event| moment(event_target_value(&event))/>
            <div class="moment">
                <span class="number" id="moment-number">{number}</span>
                <label class="inline" for="budget">{t.field(Field::Budget).to_owned()}</label>
                <input id="budget" type="text" inputmode="decimal" autocomplete="off" prop:value=move || state.form.with(|form| form.get(Field::Budget).to_owned())
                    on:input=move |event| state.form.update(|form| form.set(Field::Budget, event_target_value(&event)))/>
                <button id="live" type="button" disabled=move || state.cursor.get().is_none() on:click=move |_| state.cursor.set(None)>
                    {t.stage.live}
                </button>
            </div>
        </div>
        <label class="check"><input id="timeline-without-model" type="checkbox" prop:checked=move || state.without_model.get()
            on:change=move |event| state.without_model.set(event_target_checked(&event))/> {t.reach.without_model}</label>
        {export::view(state, t, plans.clone())}
    }
}

/// The areas of a timeline, `most` bytes high.
pub fn areas(t: T, timeline: &Timeline, most: u64) -> impl IntoView {
    let area = |part: Part| {
        view! { <path d=timeline.area(part, most) style:fill=format!("var(--{})", part.name())><title>{t.part(part).to_owned()}</title></path> }
    };
    let most_during = |&(pass, _): &(Pass, u64)| format!("{}: {}", t.pass(pass), bytes(timeline.most_during(pass)));
    let label = timeline.passes.iter().map(most_during).collect::<Vec<_>>().join("; ");
    view! {
        <svg viewBox=format!("0 0 {} {HEIGHT}", timeline.turns) preserveAspectRatio="none" role="img" aria-label=label>
            {Part::ALL.map(area)}
        </svg>
    }
}

/// The names of the passes under their turns. Those that are too short for theirs have none.
fn passes(t: T, timeline: &Timeline) -> impl IntoView {
    let name = |&(pass, _): &(Pass, u64)| {
        let (start, end) = timeline.span(pass).expect("the pass is one of its own");
        let percent = |turn: u64| 100.0 * turn as f64 / timeline.turns as f64;
        let width = percent(end) - percent(start);
        let text = if width > 6.0 { t.pass(pass).to_owned() } else { String::new() };
        view! { <span style:left=format!("{:.3}%", percent(start)) style:width=format!("{width:.3}%") title=t.pass(pass).to_owned()>{text}</span> }
    };
    view! { <div class="passes" aria-hidden="true">{timeline.passes.iter().map(name).collect_view()}</div> }
}

/// The peak, marked and named.
fn peak(t: T, plans: &Plans) -> impl IntoView {
    let timeline = plans.timeline();
    let (op, place) = stage::place(t, plans, timeline.peak);
    let text = fill(t.stage.peak, &[("bytes", &bytes(plans.chosen().peak_bytes())), ("op", &op), ("place", &place)]);
    let at = (timeline.peak as f64 + 0.5) / timeline.turns as f64;
    let is_late = at > 0.5;
    view! { <div class="peak" class:left=is_late style:left=format!("{:.3}%", 100.0 * at)><span id="peak">{text}</span></div> }
}

/// The budget's line, with a handle for pointers and keys.
fn budget(state: State, t: T, most: u64, peak_bytes: u64) -> impl IntoView {
    let share = move || state.budget.get().map(|budget| (budget as f64 / most as f64).min(1.0));
    let bottom = move || share().map(|share| format!("{:.2}%", 100.0 * share));
    let text = move || match state.budget.get() {
        Some(budget) if budget < peak_bytes => {
            let over = fill(t.stage.over_budget, &[("bytes", &bytes(peak_bytes - budget))]);
            format!("{}: {over}", fill(t.stage.budget_at, &[("bytes", &bytes(budget))]))
        }
        Some(budget) => fill(t.stage.budget_at, &[("bytes", &bytes(budget))]),
        None => String::new(),
    };
    let set = move |bytes: f64| state.form.update(|form| form.set_budget(bytes.max(1024.0)));
    let drag = move |event: PointerEvent| {
        let Some(handle) = event.current_target().and_then(|target| target.dyn_into::<Element>().ok()) else { return };
        if event.buttons() != 1 {
            return;
        }
        // While it holds the pointer, the handle hears of it wherever it goes.
        let _ = handle.set_pointer_capture(event.pointer_id());
        event.prevent_default();
        let Some(track) = handle.parent_element() else { return };
        let bounds = track.get_bounding_client_rect();
        set(most as f64 * (bounds.bottom() - f64::from(event.client_y())) / bounds.height().max(1.0));
    };
    let key = move |event: KeyboardEvent| {
        let by = match event.key().as_str() {
            "ArrowUp" | "ArrowRight" => 0.02,
            "ArrowDown" | "ArrowLeft" => -0.02,
            "PageUp" => 0.1,
            "PageDown" => -0.1,
            _ => return,
        };
        event.prevent_default();
        set(state.budget.get_untracked().unwrap_or(most) as f64 + by * most as f64);
    };
    view! {
        <div class="budget-track">
            <div id="budget-line" class="budget" class:over=move || state.budget.get().is_some_and(|budget| budget < peak_bytes)
                role="slider" tabindex="0" aria-orientation="vertical" aria-label=t.stage.budget aria-valuemin="0" aria-valuemax=most
                aria-valuenow=move || state.budget.get().map(|budget| budget.to_string()) aria-valuetext=text style:bottom=bottom
                on:pointerdown=drag on:pointermove=drag on:keydown=key>
                <span>{text}</span>
            </div>
        </div>
    }
}
