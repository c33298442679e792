//! The planner's choice for the form.

use leptos::prelude::*;

use super::super::planning::Planning;
use super::super::state::State;
use super::super::{T, saved_activations};
use crate::step::{SavedActivations, Strategy, StrategyKind};
use crate::web::format::whole;
use crate::web::i18n::fill;
use crate::web::memory_curve::Topic;

pub fn view(state: State, t: T, planning: Planning) -> impl IntoView {
    let is_barred = move || !planning.is_bound(state) || planning.is_choosing.get() || planning.own_question.with(Option::is_none);
    let about = move || match () {
        () if planning.model.with(Option::is_some) => t.reach.choose_other,
        () if state.has_run.get() => t.reach.choose_running,
        () => t.reach.choose_about,
    };
    let shortest = move |_| planning.choose(state, Topic::Shortest(untrack(|| planning.shown_length(state))));
    let outcome = move || {
        let text = |strategy: Strategy| if strategy.kind == StrategyKind::Stream { t.reach.set_chunks } else { t.reach.set };
        match planning.chosen.get() {
            _ if planning.is_choosing.get() => t.reach.computing.to_owned(),
            Some(Some((strategy, tokens))) => {
                let values: [(&str, &dyn std::fmt::Display); 3] =
                    [("strategy", &strategy.kind), ("chunk", &strategy.chunk(u32::MAX)), ("tokens", &whole(u64::from(tokens)))];
                fill(text(strategy), &values) + &beside(state, t)
            }
            Some(None) => t.reach.nothing_chosen.to_owned(),
            None => String::new(),
        }
    };
    view! {
        <div class="buttons">
            <button id="shortest" type="button" disabled=is_barred aria-describedby="choose-about" on:click=shortest>{t.reach.shortest}</button>
            <button id="longest" type="button" disabled=is_barred aria-describedby="choose-about"
                on:click=move |_| planning.choose(state, Topic::Longest)>{t.reach.longest}</button>
        </div>
        <p class="hint" id="choose-about">{about}</p>
        <p id="choice" role="status">{outcome}</p>
    }
}

/// What a choice keeps, and where it lets the inputs of layers wait, unless that is as usual.
fn beside(state: State, t: T) -> String {
    state.form.with(|form| {
        let kept = (form.saved_activations != SavedActivations::NONE).then(|| format!(" {}.", saved_activations::summary(t, form)));
        let offload = form.offload.then(|| format!(" {}.", t.model.offload));
        kept.into_iter().chain(offload).collect()
    })
}
