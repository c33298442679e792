//! What was measured on this device, and the proof: three strategies side by side, the roofline, the same bits, and a report.

pub mod compare;
pub mod proof;
pub mod report;
mod roofline;

use leptos::prelude::*;

use super::components::why_not;
use super::state::State;
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};

pub fn view(state: State, t: T) -> impl IntoView {
    let pictures = move || {
        state.step.plans.with(|plans| match plans {
            Ok(plans) => view! {
                <ol id="peaks" class="cards">{compare::cards(state, t, plans)}</ol>
                <p class="hint">{move || {
                    state.settings.budget.get().map_or_else(String::new, |budget| fill(t.compare.longest_about, &[("budget", &bytes(budget))]))
                }}</p>
                {compare::measure(state, t)}
                <details><summary>{t.compare.as_table}</summary>{compare::table(t, plans)}</details>
            }
            .into_any(),
            Err(_) => view! { <p class="note">{t.failures.no_plan}</p> }.into_any(),
        })
    };
    view! {
        <section class="compare" aria-labelledby="compare-title">
            <h2 id="compare-title">{t.compare.title}</h2>
            <p class="hint">{t.compare.about}</p>
            {why_not::view(state, t, "lab-why-not")}
            {pictures}
            {roofline::view(state, t)}
            {proof::view(state, t)}
            {report::view(state, t)}
        </section>
    }
}
