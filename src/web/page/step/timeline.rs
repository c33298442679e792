//! Memory through the step: areas by kind, the peak, the moment that is shown, and the budget, which can be dragged.

use std::sync::Arc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent, PointerEvent};

use super::describe;
use crate::step::Pass;
use crate::web::axis::{BudgetPlace, Scale, memory_scale};
use crate::web::charts::Timeline;
use crate::web::form::Field;
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::browser;
use crate::web::page::components::{axes, memory_areas};
use crate::web::page::state::{Plans, Settings, StepState};

pub fn view(settings: Settings, step: StepState, t: T, plans: &Arc<Plans>) -> impl IntoView {
    let timeline = plans.timeline();
    let turns = timeline.turns;
    let peak_bytes = plans.chosen().peak_bytes();
    let scale = Bytes::new(settings, peak_bytes);
    let point = move |event: PointerEvent| {
        let share = browser::share_across(&event);
        step.pointed.set(Some(((share * turns as f64) as u64).min(turns - 1)));
    };
    let moment = {
        let plans = plans.clone();
        move |value: String| step.cursor.set(value.parse().ok().map(|turn: u64| turn.min(plans.timeline().turns - 1)))
    };
    let spoken = {
        let plans = plans.clone();
        move || {
            let (op, what) = describe::describe(t, &plans, step.shown_turn());
            format!("{op}, {what}")
        }
    };
    let picture = {
        let plans = plans.clone();
        move || match step.without_model.get() {
            false => memory_areas::view(t, plans.timeline(), scale.shown).into_any(),
            true => {
                let timeline = plans.timeline().without_model();
                let scale = memory_scale(timeline.most(), None);
                memory_areas::view(t, &timeline, Memo::new(move |_| scale.clone())).into_any()
            }
        }
    };
    let number = move || fill(t.step_grid.moment_at, &[("number", &whole(step.shown_turn() + 1)), ("all", &whole(turns))]);
    let cursor = move || format!("{:.3}%", 100.0 * (step.shown_turn() as f64 + 0.5) / turns as f64);
    view! {
        <h3>{t.step_grid.timeline}</h3>
        <p class="hint">{t.step_grid.timeline_about}</p>
        <div class="timeline" id="timeline" data-peak-turn=timeline.peak data-turns=turns>
            <div class="picture" on:pointermove=point on:pointerleave=move |_| step.pointed.set(None)>
                {picture}
                {peak(t, plans)}
                <div class="cursor" style:left=cursor></div>
            </div>
            <div class:hidden=move || step.without_model.get()>{budget(settings, t, scale, peak_bytes)}</div>
            {passes(t, timeline)}
            <input id="moment" type="range" min="0" max=(turns - 1).to_string() step="1" aria-label=t.step_grid.moment aria-valuetext=spoken
                prop:value=move || step.shown_turn().to_string() on:input=move |event| moment(event_target_value(&event))/>
            <div class="moment">
                <span class="number" id="moment-number">{number}</span>
                <label class="inline" for="budget">{t.field(Field::Budget).to_owned()}</label>
                <input id="budget" type="text" inputmode="decimal" autocomplete="off" prop:value=move || settings.form.with(|form| form.get(Field::Budget).to_owned())
                    on:input=move |event| settings.form.update(|form| form.set(Field::Budget, event_target_value(&event)))/>
                <button id="live" type="button" disabled=move || step.cursor.get().is_none() on:click=move |_| step.cursor.set(None)>
                    {t.step_grid.live}
                </button>
            </div>
        </div>
        <label class="check"><input id="timeline-without-model" type="checkbox" prop:checked=move || step.without_model.get()
            on:change=move |event| step.without_model.set(event_target_checked(&event))/> {t.reach.without_model}</label>
    }
}

/// The scale of the bytes.
#[derive(Clone, Copy)]
struct Bytes {
    /// The scale with room for the budget.
    shown: Memo<Scale>,
    /// The scale stays while the budget is dragged: the line would run away from the pointer.
    held: RwSignal<Option<Scale>>,
}

impl Bytes {
    fn new(settings: Settings, peak_bytes: u64) -> Self {
        let held: RwSignal<Option<Scale>> = RwSignal::new(None);
        let shown = Memo::new(move |_| held.get().unwrap_or_else(|| memory_scale(peak_bytes, settings.budget.get())));
        Bytes { shown, held }
    }

    fn hold(self) {
        if self.held.with_untracked(Option::is_none) {
            self.held.set(Some(self.shown.get_untracked()));
        }
    }

    fn release(self) {
        self.held.set(None);
    }
}

/// The names of the passes under their turns. Those that are too short for theirs have none.
fn passes(t: T, timeline: &Timeline) -> impl IntoView {
    let name = |&(pass, _): &(Pass, u64)| {
        let (start, end) = timeline.span(pass).expect("the pass is one of its own");
        let percent = |turn: u64| 100.0 * turn as f64 / timeline.turns as f64;
        let width = percent(end) - percent(start);
        let tip = format!("{}: {}", t.pass(pass), bytes(timeline.most_during(pass)));
        let text = if width > 6.0 { t.pass(pass).to_owned() } else { String::new() };
        view! { <span class:brief={width < 16.0} style:left=format!("{:.3}%", percent(start)) style:width=format!("{width:.3}%") data-tip=tip>{text}</span> }
    };
    view! { <div class="passes" aria-hidden="true">{timeline.passes.iter().map(name).collect_view()}</div> }
}

/// The peak, marked and named.
fn peak(t: T, plans: &Plans) -> impl IntoView {
    let timeline = plans.timeline();
    let (op, what) = describe::describe(t, plans, timeline.peak);
    let text = fill(t.step_grid.peak, &[("bytes", &bytes(plans.chosen().peak_bytes())), ("op", &op), ("what", &what)]);
    let at = (timeline.peak as f64 + 0.5) / timeline.turns as f64;
    let is_late = at > 0.5;
    view! { <div class="peak" class:left=is_late style:left=format!("{:.3}%", 100.0 * at)><span id="peak">{text}</span></div> }
}

/// The budget's line, with a handle for pointers and keys; an arrow with its value if it is far above the picture.
fn budget(settings: Settings, t: T, scale: Bytes, peak_bytes: u64) -> impl IntoView {
    let place = move || settings.budget.get().map(|budget| scale.shown.with(|scale| BudgetPlace::on(scale, budget)));
    let bottom =
        move || place().map(|place| if let BudgetPlace::At(share) = place { axes::percent(100.0 * share) } else { "100%".to_owned() });
    let is_above = move || place() == Some(BudgetPlace::Above);
    let is_over = move || settings.budget.get().is_some_and(|budget| budget < peak_bytes);
    let text = move || settings.budget.get().map_or_else(String::new, |budget| budget_text(t, budget, peak_bytes));
    let set = move |bytes: f64| settings.form.update(|form| form.set_budget(bytes.max(1024.0)));
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
        scale.hold();
        let share = (bounds.bottom() - f64::from(event.client_y())) / bounds.height().max(1.0);
        set(scale.shown.with_untracked(|scale| scale.value(share)));
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
        let most = scale.shown.with_untracked(Scale::high);
        let budget = settings.budget.get_untracked().map_or(most, |budget| budget as f64);
        set(budget + by * budget.max(most));
    };
    view! {
        <div class="budget-track">
            <div id="budget-line" class="budget" class:over=is_over class:above=is_above
                role="slider" tabindex="0" aria-orientation="vertical" aria-label=t.step_grid.budget aria-valuemin="0"
                aria-valuemax=move || settings.budget.get().unwrap_or(0).max(scale.shown.with(Scale::high) as u64).to_string()
                aria-valuenow=move || settings.budget.get().map(|budget| budget.to_string()) aria-valuetext=text style:bottom=bottom
                on:pointerdown=drag on:pointermove=drag on:pointerup=move |_| scale.release() on:pointercancel=move |_| scale.release()
                on:keydown=key>
                <span>{move || if is_above() { "↑ " } else { "" }}{text}</span>
            </div>
        </div>
    }
}

fn budget_text(t: T, budget: u64, peak_bytes: u64) -> String {
    let at = fill(t.step_grid.budget_at, &[("bytes", &bytes(budget))]);
    match peak_bytes.checked_sub(budget) {
        Some(over) if over > 0 => format!("{at}: {}", fill(t.step_grid.over_budget, &[("bytes", &bytes(over))])),
        _ => at,
    }
}
