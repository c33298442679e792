//! The runs that are over, in a table.

use leptos::prelude::*;

use crate::web::form::Field;
use crate::web::format::{bytes, digits, whole};
use crate::web::i18n::{T, fill};
use crate::web::metrics::median;
use crate::web::page::state::{PastRun, RunState, Settings};

pub fn view(settings: Settings, run: RunState, t: T) -> impl IntoView {
    view! {
        <section aria-labelledby="runs-title">
            <h2 id="runs-title">{t.training.runs}</h2>
            <p class="hint">{t.training.runs_about}</p>
            <p class="hint">{move || run.has_run.get().then_some(t.data.locked)}</p>
            {move || run.past.with(|runs| table(settings, run, t, runs))}
        </section>
    }
}

fn table(settings: Settings, run: RunState, t: T, runs: &[PastRun]) -> impl IntoView + use<> {
    let texts = &t.training;
    let columns = [
        texts.run,
        texts.settings,
        texts.memory,
        texts.steps_done,
        texts.loss,
        texts.validation_loss,
        texts.tokens_per_second,
        texts.overlay,
    ];
    view! {
        <table id="runs">
            <caption class="unseen">{texts.runs}</caption>
            <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}<th></th></tr></thead>
            <tbody>{runs.iter().map(|past| row(settings, run, t, past)).collect_view()}</tbody>
        </table>
    }
}

fn row(settings: Settings, run: RunState, t: T, past: &PastRun) -> impl IntoView + use<> {
    let number = past.number;
    let history = &past.history;
    let last_loss = history.steps.last().map_or_else(String::new, |report| format!("{:.3}", report.loss));
    let last_validation = history.validations.last().map_or_else(String::new, |(_, validation)| format!("{:.3}", validation.loss));
    let speed = digits(median(history.steps.iter().map(|report| report.tokens_per_second)));
    let cells = [settings_of(past), bytes(past.bytes), whole(history.steps.len() as u64), last_loss, last_validation, speed];
    let is_shown = past.is_shown;
    let form = past.form.clone();
    let take = move |_| settings.form.set(form.clone());
    let forget = move |_| run.past.update(|past| past.retain(|other| other.number != number));
    let overlay = format!("{}: {} {number}", t.training.overlay, t.training.run);
    view! {
        <tr>
            <th scope="row">{number}</th>
            {cells.map(|cell| view! { <td>{cell}</td> })}
            <td><input type="checkbox" aria-label=overlay prop:checked=move || is_shown.get()
                on:change=move |event| is_shown.set(event_target_checked(&event))/></td>
            <td class="small">
                <button type="button" disabled=move || run.has_run.get() on:click=take>{t.training.take}</button>
                <button type="button" on:click=forget>{fill(t.training.forget_run, &[("run", &number)])}</button>
            </td>
        </tr>
    }
}

/// What was run, and what was set otherwise than the page sets it.
fn settings_of(run: &PastRun) -> String {
    let form = &run.form;
    let chunk = if form.strategy == crate::step::StrategyKind::Stream { format!(" {}", form.get(Field::Chunk)) } else { String::new() };
    let first = format!("{}, {}{chunk}, {}", form.preset, form.strategy, form.get(Field::SeqLen));
    let known = ["preset", "strategy", "chunk", "seq-len"];
    let other = form.to_pairs().into_iter().filter(|(name, _)| !known.contains(name)).map(|(name, value)| format!("{name} {value}"));
    [first].into_iter().chain(other).collect::<Vec<_>>().join(", ")
}
