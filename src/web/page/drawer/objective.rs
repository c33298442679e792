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
        {fields(settings, t)}
    }
}

/// The settings of the objectives, each where it means something.
fn fields(settings: Settings, t: T) -> impl IntoView {
    let of = move |objective: ObjectiveChoice| settings.form.with(|form| form.objective == objective);
    let not_grpo = move || !of(ObjectiveChoice::Grpo);
    let of_grpo = move |field: Field| view! { <div class:hidden=not_grpo>{field::view(settings, t, field)}</div> };
    // Only one loss knows it. One that a link brings along is shown, so that it can be taken away.
    let is_smoothed = move || settings.form.with(|form| form.loss_type == DpoLossType::Sigmoid || form.get(Field::LabelSmoothing) != "0");
    view! {
        <div class="fields of-objective" class:hidden=move || of(ObjectiveChoice::Sft)>
            <div class:hidden=move || !of(ObjectiveChoice::Dpo)>{of_pairs(settings, t)}</div>
            <div class="wide" class:hidden=not_grpo>{field::view(settings, t, Field::Rewards)}</div>
            {[Field::NumGenerations, Field::MaxCompletionLength, Field::SftSteps, Field::SftLearningRate].map(of_grpo)}
            {field::view(settings, t, Field::Beta)}
            <div class:hidden=move || !of(ObjectiveChoice::Dpo) || !is_smoothed()>{field::view(settings, t, Field::LabelSmoothing)}</div>
            <div class:hidden=not_grpo>{of_completions(settings, t)}</div>
            {[Field::Temperature, Field::ClipEpsilon, Field::NumIterations].map(of_grpo)}
        </div>
    }
}

/// The loss of a pair.
fn of_pairs(settings: Settings, t: T) -> impl IntoView {
    let names = DpoLossType::ALL.map(DpoLossType::name);
    let chosen = move || settings.form.with(|form| form.loss_type.name());
    let choose = move |name: &str| settings.form.update(|form| form.set_loss_type(DpoLossType::named(name).unwrap_or(form.loss_type)));
    loss_type(t, "loss-type", &names, chosen, choose)
}

/// What the loss of completions is a mean over.
fn of_completions(settings: Settings, t: T) -> impl IntoView {
    let names = GrpoLossType::ALL.map(GrpoLossType::name);
    let chosen = move || settings.form.with(|form| form.grpo_loss_type.name());
    let choose =
        move |name: &str| settings.form.update(|form| form.grpo_loss_type = GrpoLossType::named(name).unwrap_or(form.grpo_loss_type));
    loss_type(t, "grpo-loss-type", &names, chosen, choose)
}

/// A list of losses by TRL's names.
fn loss_type<Chosen, Choose>(
    t: T,
    id: &'static str,
    names: &[&'static str],
    chosen: Chosen,
    choose: Choose,
) -> impl IntoView + use<Chosen, Choose>
where
    Chosen: Fn() -> &'static str + Copy + Send + 'static,
    Choose: Fn(&str) + 'static,
{
    let option = move |&name: &&'static str| view! { <option value=name prop:selected=move || chosen() == name>{name}</option> };
    let about = format!("{id}-about");
    view! {
        <label class="field" for=id>"loss_type"</label>
        <select id=id aria-describedby=about.clone() on:change=move |event| choose(&event_target_value(&event))>
            {names.iter().map(option).collect_view()}
        </select>
        <p class="hint" id=about>{move || t.loss_type_about(chosen()).to_owned()}</p>
    }
}
