//! The planner's choice for the form.

use leptos::prelude::*;

use crate::step::{SavedActivations, Strategy, StrategyKind};
use crate::web::form::Field;
use crate::web::format::whole;
use crate::web::i18n::{T, fill};
use crate::web::memory_curve::Topic;
use crate::web::page::drawer::saved_activations;
use crate::web::page::state::{Settings, State};

pub fn view(state: State, t: T) -> impl IntoView {
    let planner = state.planner;
    let is_barred = move || !planner.is_bound() || planner.is_choosing.get() || planner.own_question.with(Option::is_none);
    let about = move || match () {
        () if planner.model.with(Option::is_some) => t.reach.choose_other,
        () if state.run.has_run.get() => t.reach.choose_running,
        () => t.reach.choose_about,
    };
    let shortest = move |_| state.choose_strategy(Topic::Shortest(untrack(|| planner.shown_length())));
    let outcome = move || {
        let text = |strategy: Strategy| if strategy.kind == StrategyKind::Stream { t.reach.set_chunks } else { t.reach.set };
        match planner.chosen.get() {
            _ if planner.is_choosing.get() => t.reach.computing.to_owned(),
            Some(Some((strategy, tokens))) => {
                let values: [(&str, &dyn std::fmt::Display); 3] =
                    [("strategy", &strategy.kind), ("chunk", &strategy.chunk(u32::MAX)), ("tokens", &whole(u64::from(tokens)))];
                fill(text(strategy), &values) + &beside(state.settings, t)
            }
            Some(None) => t.reach.nothing_chosen.to_owned(),
            None => String::new(),
        }
    };
    view! {
        <div class="buttons">
            <button id="shortest" type="button" disabled=is_barred aria-describedby="choose-about" on:click=shortest>{t.reach.shortest}</button>
            <button id="longest" type="button" disabled=is_barred aria-describedby="choose-about"
                on:click=move |_| state.choose_strategy(Topic::Longest)>{t.reach.longest}</button>
        </div>
        <p class="hint" id="choose-about">{about}</p>
        <p id="choice" role="status">{outcome}</p>
    }
}

/// What a choice keeps, and where it lets the inputs of layers wait, unless that is as usual.
fn beside(settings: Settings, t: T) -> String {
    settings.form.with(|form| {
        let kept = (form.saved_activations != SavedActivations::NONE).then(|| format!(" {}.", saved_activations::summary(t, form)));
        let group = form.get(Field::LayerGroup);
        let groups = (group != "1").then(|| format!(" {}: {group}.", t.field(Field::LayerGroup)));
        let offload = form.offload.then(|| format!(" {}.", t.model.offload));
        kept.into_iter().chain(groups).chain(offload).collect()
    })
}
