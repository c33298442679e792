//! What a step minimises.

use leptos::prelude::*;

use super::field;
use crate::step::DpoLossType;
use crate::web::form::{Field, ObjectiveChoice};
use crate::web::i18n::T;
use crate::web::page::state::Settings;

pub fn view(settings: Settings, t: T) -> impl IntoView {
    let chosen = move || settings.form.with(|form| form.objective);
    let option = move |choice: ObjectiveChoice| {
        view! { <option value=choice.name() prop:selected=move || chosen() == choice>{t.objective(choice).to_owned()}</option> }
    };
    let choose = move |name: String| {
        settings.form.update(|form| form.set_objective(ObjectiveChoice::named(&name).unwrap_or(form.objective)));
    };
    view! {
        <label class="field" for="objective">{t.data.objective}</label>
        <select id="objective" aria-describedby="objective-about" on:change=move |event| choose(event_target_value(&event))>
            {ObjectiveChoice::ALL.map(option)}
        </select>
        <p class="hint" id="objective-about">{move || t.objective_about(chosen()).to_owned()}</p>
        <div class="of-pairs" class:hidden=move || chosen() != ObjectiveChoice::Dpo>{of_pairs(settings, t)}</div>
    }
}

/// The settings of an objective of pairs.
fn of_pairs(settings: Settings, t: T) -> impl IntoView {
    let chosen = move || settings.form.with(|form| form.loss_type);
    let option = move |loss_type: DpoLossType| {
        view! { <option value=loss_type.name() prop:selected=move || chosen() == loss_type>{loss_type.name()}</option> }
    };
    let choose = move |name: String| {
        settings.form.update(|form| form.set_loss_type(DpoLossType::named(&name).unwrap_or(form.loss_type)));
    };
    // Only one loss knows it. One that a link brings along is shown, so that it can be taken away.
    let is_smoothed = move || chosen() == DpoLossType::Sigmoid || settings.form.with(|form| form.get(Field::LabelSmoothing) != "0");
    view! {
        <div class="fields">
            <div>
                <label class="field" for="loss-type">"loss_type"</label>
                <select id="loss-type" aria-describedby="loss-type-about" on:change=move |event| choose(event_target_value(&event))>
                    {DpoLossType::ALL.map(option)}
                </select>
                <p class="hint" id="loss-type-about">{move || t.loss_type_about(chosen()).to_owned()}</p>
            </div>
            {field::view(settings, t, Field::Beta)}
            <div class:hidden=move || !is_smoothed()>{field::view(settings, t, Field::LabelSmoothing)}</div>
        </div>
    }
}
