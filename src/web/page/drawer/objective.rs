//! What a step minimises.

use leptos::prelude::*;

use super::field;
use crate::step::{DpoLossType, GrpoLossType};
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
        <div class="fields" class:hidden=move || chosen() == ObjectiveChoice::Sft>{field::view(settings, t, Field::Beta)}</div>
        <div class="of-pairs" class:hidden=move || chosen() != ObjectiveChoice::Dpo>{of_pairs(settings, t)}</div>
        <div class="of-pairs" class:hidden=move || chosen() != ObjectiveChoice::Grpo>{of_completions(settings, t)}</div>
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
                <p class="hint" id="loss-type-about">{move || t.loss_type_about(chosen().name()).to_owned()}</p>
            </div>
            <div class:hidden=move || !is_smoothed()>{field::view(settings, t, Field::LabelSmoothing)}</div>
        </div>
    }
}

/// The settings of an objective of completions, those first that one would change first.
fn of_completions(settings: Settings, t: T) -> impl IntoView {
    let chosen = move || settings.form.with(|form| form.grpo_loss_type);
    let option = move |loss_type: GrpoLossType| {
        view! { <option value=loss_type.name() prop:selected=move || chosen() == loss_type>{loss_type.name()}</option> }
    };
    let choose = move |name: String| {
        settings.form.update(|form| form.grpo_loss_type = GrpoLossType::named(&name).unwrap_or(form.grpo_loss_type));
    };
    let first = [Field::Rewards, Field::NumGenerations, Field::MaxCompletionLength, Field::SftSteps];
    let more = [Field::Temperature, Field::ClipEpsilon, Field::NumIterations];
    view! {
        <div class="fields">
            {first.map(|field| field::view(settings, t, field))}
            <div>
                <label class="field" for="grpo-loss-type">"loss_type"</label>
                <select id="grpo-loss-type" aria-describedby="grpo-loss-type-about" on:change=move |event| choose(event_target_value(&event))>
                    {GrpoLossType::ALL.map(option)}
                </select>
                <p class="hint" id="grpo-loss-type-about">{move || t.loss_type_about(chosen().name()).to_owned()}</p>
            </div>
            {more.map(|field| field::view(settings, t, field))}
        </div>
    }
}
