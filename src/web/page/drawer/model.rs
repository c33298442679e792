//! Which model, what of it learns, and how the step is walked.

use leptos::prelude::*;

use super::{adapters, field, open_model, saved_activations};
use crate::model::{PRESETS, Parameters, Preset};
use crate::step::{SavedActivations, StrategyKind};
use crate::web::form::{Group, Plan};
use crate::web::format::whole;
use crate::web::i18n::{T, fill};
use crate::web::page::state::{Settings, State};

pub fn view(state: State, t: T) -> impl IntoView {
    let settings = state.settings;
    let preset = move |preset: &'static Preset| {
        let is_chosen = move || settings.form.with(|form| form.preset == preset.name);
        view! { <option value=preset.name prop:selected=is_chosen>{preset.name}</option> }
    };
    let choose_preset = move |name: String| {
        if let Some(preset) = Preset::named(&name) {
            state.close_model();
            settings.form.update(|form| form.take_preset(preset));
        }
    };
    let is_own = move || settings.form.with(|form| form.preset.is_empty());
    let strategy = move |kind: StrategyKind| {
        let is_chosen = move || settings.form.with(|form| form.strategy == kind);
        view! { <option value=kind.name() prop:selected=is_chosen>{kind.name()}</option> }
    };
    let choose_strategy = move |name: String| {
        settings.form.update(|form| {
            (form.strategy, form.saved_activations, form.offload) = (name.parse().unwrap_or(form.strategy), SavedActivations::NONE, false);
        });
    };
    view! {
        <label class="field" for="preset">{t.model.preset}</label>
        <select id="preset" aria-describedby="preset-about" on:change=move |event| choose_preset(event_target_value(&event))>
            {PRESETS.iter().map(preset).collect_view()}
            <option value="" prop:selected=is_own disabled>{t.model.own_sizes}</option>
        </select>
        <p class="hint" id="preset-about">{move || parameters(settings, t)}</p>
        {open_model::view(state, t)}
        {adapters::view(state, t)}
        <label class="field" for="strategy">{t.model.strategy}</label>
        <select id="strategy" aria-describedby="strategy-about" on:change=move |event| choose_strategy(event_target_value(&event))>
            {StrategyKind::ALL.map(strategy)}
        </select>
        <p class="hint" id="strategy-about">{move || t.strategy(settings.form.with(|form| form.strategy)).to_owned()}</p>
        {field::group(settings, t, Group::Step)}
        {open_model::beyond_context(settings, state.models, t)}
        {saved_activations::view(settings, t)}
        <details><summary>{t.model.sizes}</summary>{field::group(settings, t, Group::Sizes)} {tied(settings, t)}</details>
        <details><summary>{t.model.hyper_parameters}</summary>{field::group(settings, t, Group::Training)}</details>
        <details><summary>{t.model.watching}</summary>{field::group(settings, t, Group::Watch)}</details>
    }
}

/// The number of the model's parameters, and how many of them learn.
fn parameters(settings: Settings, t: T) -> String {
    let counts = |plan: &Result<Plan, String>| {
        let parameters = Parameters::new(&plan.as_ref().ok()?.spec);
        Some((parameters.elements(), parameters.trainable().map(|(_, parameter)| parameter.elements() as u64).sum::<u64>()))
    };
    settings.plan.with(counts).map_or_else(String::new, |(count, learn)| {
        let text = if learn < count { t.model.parameters_learn } else { t.model.parameters };
        fill(text, &[("count", &whole(count)), ("learn", &whole(learn))])
    })
}

fn tied(settings: Settings, t: T) -> impl IntoView {
    let is_tied = move || settings.form.with(|form| form.tied);
    view! {
        <label class="check"><input id="tied" type="checkbox" prop:checked=is_tied
            on:change=move |event| settings.form.update(|form| form.tied = event_target_checked(&event))/>
            {t.model.tied}
        </label>
    }
}
