//! Which model is planned, what of it is trained, and within which budget.

use leptos::prelude::*;

use crate::model::{PUBLISHED, Preset};
use crate::train::ChunkLength;
use crate::web::i18n::{T, fill};
use crate::web::page::state::Planner;
use crate::web::published::{BUDGETS, CHUNK, RANK, Trainable, budget};
use crate::web::question::{MOST_MACHINES, Question};

pub fn view(t: T, planner: Planner) -> impl IntoView {
    let is_own = move || planner.model.with(Option::is_none);
    view! {
        <div class="reach-choice">
            {model(t, planner)}
            <div class:hidden=is_own>{trainable(t, planner)}</div>
            <div class:hidden=is_own>{budget_field(t, planner)}</div>
            <div class:hidden=move || most(planner) == 1>{machines(t, planner)}</div>
            <div class:hidden=move || !planner.is_split()>{network(t, planner)}</div>
        </div>
        <p class="hint" id="reach-model-about">{move || about(t, planner)}</p>
        <p class="hint" id="reach-machines-about">{move || if planner.is_split() { t.reach.machines_about } else { "" }}</p>
        <label class="check"><input id="without-model" type="checkbox" prop:checked=move || planner.without_model.get()
            on:change=move |event| planner.without_model.set(event_target_checked(&event))/>
            {t.reach.without_model}
        </label>
    }
}

fn model(t: T, planner: Planner) -> impl IntoView {
    let name = move || planner.model.get().map_or("", |preset| preset.name);
    let option = move |preset: &'static Preset| {
        view! { <option value=preset.name prop:selected=move || name() == preset.name>{preset.name}</option> }
    };
    let choose = move |name: String| planner.model.set(PUBLISHED.iter().find(|preset| preset.name == name));
    view! {
        <div>
            <label class="field" for="reach-model">{t.reach.model}</label>
            <select id="reach-model" aria-describedby="reach-model-about" on:change=move |event| choose(event_target_value(&event))>
                <option value="" prop:selected=move || name().is_empty()>{t.reach.own_model}</option>
                <optgroup label=t.reach.published>{PUBLISHED.iter().map(option).collect_view()}</optgroup>
            </select>
        </div>
    }
}

fn trainable(t: T, planner: Planner) -> impl IntoView {
    let option = move |trainable: Trainable| {
        let text = match trainable {
            Trainable::Lora => fill(t.reach.trained_lora, &[("rank", &RANK)]),
            Trainable::All => t.reach.trained_all.to_owned(),
        };
        view! { <option value=trainable.name() prop:selected=move || planner.trainable.get() == trainable>{text}</option> }
    };
    let choose = move |name: String| planner.trainable.set(Trainable::named(&name).unwrap_or_default());
    view! {
        <label class="field" for="reach-trainable">{t.reach.trained}</label>
        <select id="reach-trainable" aria-describedby="reach-model-about" on:change=move |event| choose(event_target_value(&event))>
            {Trainable::ALL.map(option).collect_view()}
        </select>
    }
}

/// A number to be typed, with the memory of the paper's GPUs beside it.
fn budget_field(t: T, planner: Planner) -> impl IntoView {
    let is_wrong = Memo::new(move |_| planner.gib.with(|gib| budget(gib).is_none()));
    let button = move |gib: u32| {
        let is_chosen = move || planner.gib.with(|typed| budget(typed) == Some(u64::from(gib) << 30));
        view! {
            <button type="button" data-gib=gib aria-pressed=move || is_chosen().to_string()
                on:click=move |_| planner.gib.set(gib.to_string())>{format!("{gib} GiB")}</button>
        }
    };
    view! {
        <label class="field" for="reach-budget">{t.reach.budget}</label>
        <div class="with-buttons">
            <input id="reach-budget" type="text" inputmode="decimal" autocomplete="off" prop:value=move || planner.gib.get()
                aria-invalid=move || is_wrong.get().to_string() aria-describedby="reach-budget-wrong"
                on:input=move |event| planner.gib.set(event_target_value(&event))/>
            {BUDGETS.map(button).collect_view()}
        </div>
        <p class="wrong" id="reach-budget-wrong" role="status">{move || if is_wrong.get() { t.reach.budget_wrong } else { "" }}</p>
    }
}

/// The most machines for the question at hand.
fn most(planner: Planner) -> u32 {
    planner.question.with(|question| question.as_ref().map_or(1, Question::most_machines))
}

fn machines(t: T, planner: Planner) -> impl IntoView {
    let option = move |number: u32| {
        view! { <option value=number prop:selected=move || planner.machines.get() == number>{number}</option> }
    };
    let choose = move |number: String| planner.machines.set(number.parse().unwrap_or(1));
    let numbers = (0..).map(|doublings| 1 << doublings).take_while(|&number| number <= MOST_MACHINES);
    view! {
        <label class="field" for="reach-machines">{t.reach.machines}</label>
        <select id="reach-machines" aria-describedby="reach-machines-about" on:change=move |event| choose(event_target_value(&event))>
            {numbers.map(option).collect_view()}
        </select>
    }
}

/// Networks between machines, in Gbit/s: Ethernet, and what clusters have.
const BANDWIDTHS: [u32; 4] = [1, 10, 100, 400];

fn network(t: T, planner: Planner) -> impl IntoView {
    let option = move |bandwidth: u32| {
        view! { <option value=bandwidth prop:selected=move || planner.bandwidth.get() == bandwidth>{format!("{bandwidth} Gbit/s")}</option> }
    };
    let choose = move |bandwidth: String| planner.bandwidth.set(bandwidth.parse().unwrap_or(10));
    view! {
        <label class="field" for="reach-network">{t.reach.network}</label>
        <select id="reach-network" aria-describedby="reach-machines-about" on:change=move |event| choose(event_target_value(&event))>
            {BANDWIDTHS.map(option).collect_view()}
        </select>
    }
}

fn about(t: T, planner: Planner) -> String {
    let Some(model) = planner.model.get() else {
        let is_auto = planner.question.with(|question| question.as_ref().is_some_and(|own| own.chunks[0] == ChunkLength::Auto));
        return if is_auto { t.reach.auto_about.to_owned() } else { String::new() };
    };
    let text = match planner.trainable.get() {
        Trainable::Lora => t.reach.lora_about,
        Trainable::All => t.reach.all_about,
    };
    fill(text, &[("about", &model.about), ("rank", &RANK), ("chunk", &CHUNK)])
}
