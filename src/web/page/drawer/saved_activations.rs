//! What the step keeps from its forward pass beside the inputs of layers, in which dtype and where, and whether chunks are stretched.

use leptos::prelude::*;

use crate::model::ActivationDtype;
use crate::step::{SavedActivation, StrategyKind};
use crate::web::form::Form;
use crate::web::i18n::{T, fill};
use crate::web::page::state::Settings;

pub fn view(settings: Settings, t: T) -> impl IntoView {
    let has_no_chunks = move || settings.form.with(|form| form.strategy != StrategyKind::Stream);
    let keeps_all = move || settings.form.with(|form| form.strategy == StrategyKind::Standard);
    // Not made anew while one is moved.
    let layers = Memo::new(move |_| settings.form.with(Form::layers));
    let dtype = move |dtype: ActivationDtype| {
        let is_chosen = move || settings.form.with(|form| form.activation_dtype == dtype);
        view! { <option value=dtype.name() prop:selected=is_chosen>{dtype.name()}</option> }
    };
    let sliders = move || SavedActivation::ALL.map(|keep| slider(settings, t, keep, layers.get()));
    view! {
        <details class:hidden=keeps_all>
            <summary id="beside-inputs">{move || settings.form.with(|form| summary(t, form))}</summary>
            <p class="hint">{t.model.kept_about}</p>
            {sliders}
        </details>
        <label class="check"><input id="offload" type="checkbox" prop:checked=move || settings.form.with(|form| form.offload)
            on:change=move |event| settings.form.update(|form| form.offload = event_target_checked(&event))/>
            {t.model.offload}
        </label>
        <label class="check" class:hidden=has_no_chunks><input id="adaptive-chunks" type="checkbox" prop:checked=move || settings.form.with(|form| form.adaptive_chunks)
            on:change=move |event| settings.form.update(|form| form.adaptive_chunks = event_target_checked(&event))/>
            {t.model.adaptive_chunks}
        </label>
        <label class="field" for="activation-dtype">{t.model.activation_dtype}</label>
        <select id="activation-dtype" aria-describedby="activation-about"
            on:change=move |event| settings.form.update(|form| form.set_activation_dtype(&event_target_value(&event)))>
            {ActivationDtype::ALL.map(dtype)}
        </select>
        <p class="hint" id="activation-about">{t.model.activation_about}</p>
    }
}

/// In how many layers something is kept.
fn slider(settings: Settings, t: T, keep: SavedActivation, layers: u32) -> impl IntoView {
    let id = format!("keep-{}", keep.name());
    let kept = move || settings.form.with(|form| form.saved_layers(keep));
    let spoken = move || of_all(kept(), layers);
    let slide = move |value: String| settings.form.update(|form| form.save_in(keep, value.parse().unwrap_or(0)));
    view! {
        <div class="keep">
            <label class="field" for=id.clone()>{t.saved_activation(keep).to_owned()}</label>
            <span class="number">{spoken}</span>
            <input id=id type="range" min="0" max=layers.to_string() step="1" aria-valuetext=spoken prop:value=move || kept().to_string()
                on:input=move |event| slide(event_target_value(&event))/>
        </div>
    }
}

/// What is kept in which layers, in a line.
pub fn summary(t: T, form: &Form) -> String {
    let kept = SavedActivation::ALL.into_iter().map(|keep| (keep, form.saved_layers(keep))).filter(|&(_, layers)| layers > 0);
    let kept: Vec<String> = kept.map(|(keep, layers)| format!("{} {}", t.saved_activation(keep), of_all(layers, form.layers()))).collect();
    let list = if kept.is_empty() { t.model.kept_nothing.to_owned() } else { kept.join(", ") };
    fill(t.model.kept, &[("kept", &list)])
}

fn of_all(some: u32, all: u32) -> String {
    format!("{some}/{all}")
}
