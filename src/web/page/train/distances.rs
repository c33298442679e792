//! The share of right answers by how far back lies what they follow from: what a long context is worth.

use leptos::prelude::*;

use crate::train::AccuracyAtDistance;
use crate::web::format::whole;
use crate::web::i18n::{T, fill};
use crate::web::page::components::axes::percent;
use crate::web::page::state::RunState;

/// Nothing as long as no answer was asked for.
pub fn view(run: RunState, t: T) -> impl IntoView {
    // A step without a validation draws nothing anew.
    let last = Memo::new(move |_| {
        run.history.with(|history| history.validations.last().map(|(step, last)| (*step, last.accuracy_by_distance.clone())))
    });
    move || {
        let (step, distances) = last.get().filter(|(_, distances)| !distances.is_empty())?;
        Some(view! {
            <section aria-labelledby="distances-title">
                <h2 id="distances-title">{t.training.by_distance}</h2>
                <p class="hint">{fill(t.training.by_distance_about, &[("step", &whole(step))])}</p>
                <ol id="distances" class="clocks" data-step=step>{distances.iter().map(|at| bar(t, at)).collect_view()}</ol>
            </section>
        })
    }
}

fn bar(t: T, at: &AccuracyAtDistance) -> impl IntoView + use<> {
    let share = at.right as f64 / at.answers.max(1) as f64;
    let range = if at.from == at.to { whole(at.from) } else { format!("{}–{}", whole(at.from), whole(at.to)) };
    let count = fill(t.training.right_of, &[("right", &whole(at.right)), ("answers", &whole(at.answers))]);
    let tip = count.clone();
    view! {
        <li data-from=at.from data-right=at.right data-answers=at.answers>
            <span>{fill(t.learn.tokens_back, &[("tokens", &range)])}</span>
            <span class="track"><i style:width=percent(100.0 * share)></i></span>
            <b data-tip=tip>{format!("{:.0} %", 100.0 * share)}<small class="unseen">{count}</small></b>
        </li>
    }
}
