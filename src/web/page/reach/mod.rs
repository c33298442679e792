//! Memory against sequence length: the peak of each strategy, where it meets the budget, and what the paper reports.

mod choice;
pub mod drawn;
mod frontier;
mod paper;
mod planner;
pub mod plot;
mod readout;
mod slider;
mod times;

use leptos::prelude::*;

use super::state::State;
use crate::web::i18n::T;
use drawn::Drawn;

pub fn view(state: State, t: T) -> impl IntoView {
    let State { settings, step, planner, .. } = state;
    let answer = Memo::new(move |_| planner.chart());
    let is_out_of_date = move || answer.with(|answer| answer.as_ref().is_none_or(|(_, is_old)| *is_old));
    let drawn = Memo::new(move |before: Option<&Option<Drawn>>| {
        let question = planner.question.get()?;
        let (chart, is_old) = answer.get()?;
        // The old picture stays until the new one is there, with the budget that it was drawn for.
        if let (true, Some(Some(before))) = (is_old, before) {
            return Some(before.clone());
        }
        let model = planner.model.get_untracked().map_or("", |model| model.name);
        Some(Drawn::new(chart, &question, model, planner.trainable.get_untracked()))
    });
    let has_question = Memo::new(move |_| planner.question.with(Option::is_some));
    let picture = move || match drawn.get() {
        _ if !has_question.get() => view! { <p class="note">{t.reach.no_question}</p> }.into_any(),
        Some(drawn) => plot::view(t, planner, &drawn).into_any(),
        None => ().into_any(),
    };
    let values = move || drawn.get().filter(|_| has_question.get()).map(|drawn| readout::view(step, t, planner, &drawn));
    let lines_table = move || drawn.get().map(|drawn| readout::table(t, &drawn.chart));
    view! {
        <section class="reach" aria-labelledby="reach-title">
            <h2 id="reach-title">{t.reach.title}</h2>
            <p class="hint">{t.reach.about}</p>
            {choice::view(t, planner)}
            <div class="reach-picture" aria-busy=move || is_out_of_date().to_string()>
                {picture}
                <p class="planning" class:hidden=move || !(is_out_of_date() && has_question.get())>{t.reach.computing}</p>
            </div>
            {slider::view(settings, t, planner, drawn)}
            <div class:stale=is_out_of_date>{values}</div>
            {times::view(t, planner)}
            {planner::view(state, t)}
            {frontier::view(state, t)}
            <details><summary>{t.reach.as_table}</summary>{lines_table}</details>
            {paper::view(t, planner)}
        </section>
    }
}
