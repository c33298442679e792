//! The tables beside the chart: what the marker shows, how far each strategy goes, and the lines at powers of two.

use leptos::prelude::*;

use super::drawn::Drawn;
use super::plot::class_of;
use crate::step::StrategyKind;
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::memory_curve::{Chart, Line};
use crate::web::page::state::{Planner, StepState};
use crate::web::published::Mark;

/// What the marker shows, and how far each strategy goes.
pub fn view(step: StepState, t: T, planner: Planner, drawn: &Drawn) -> impl IntoView + use<> {
    let marks: &[Mark] = &drawn.marks;
    let row = |line: &Line| {
        let (line, budget) = (line.clone(), drawn.budget);
        let kind = line.kind;
        let reaches = line.longest.map_or_else(|| t.reach.none.to_owned(), |tokens| whole(u64::from(tokens)));
        let limit = line.by_device.then(|| t.reach.device_limit.to_owned());
        let longest = line.longest;
        let reported = (!marks.is_empty()).then(|| {
            let mark = marks.iter().find(|mark| mark.strategy == kind);
            let tokens = mark.map_or_else(|| "–".to_owned(), |mark| whole(u64::from(mark.tokens)));
            view! { <td class="reported" data-reported=mark.map(|mark| mark.tokens)>{tokens}</td> }
        });
        let now = Memo::new(move |_| {
            let length = planner.shown_length();
            (
                exact_bytes(step, planner, kind, length).unwrap_or_else(|| line.bytes_at(length)),
                longest.is_some_and(|longest| length <= longest),
            )
        });
        let verdict = move || match now.get() {
            (_, true) => t.reach.fits.to_owned(),
            (now, false) if now > budget => fill(t.reach.over, &[("bytes", &bytes(now - budget))]),
            (_, false) => t.reach.device.to_owned(),
        };
        view! {
            <tr data-strategy=kind.name() data-bytes=move || now.get().0.to_string() data-fits=move || now.get().1.to_string() data-longest=longest>
                <th scope="row"><svg class="dash" viewBox="0 0 28 8" aria-hidden="true"><path class=class_of(kind) d="M 0 4 H 28"/></svg>{kind.name()}</th>
                <td>{move || bytes(now.get().0)}</td>
                <td class="verdict" class:over=move || !now.get().1>{verdict}</td>
                <td>{reaches} {limit.map(|limit| view! { <small>{limit}</small> })}</td>
                {reported}
            </tr>
        }
    };
    let at = move || fill(t.reach.at, &[("tokens", &whole(u64::from(planner.shown_length())))]);
    let nothing = drawn.chart.lines.iter().all(|line| line.longest.is_none()).then(|| {
        let model_bytes = drawn.chart.model_bytes;
        let is_the_model = !drawn.without_model && model_bytes > drawn.budget;
        let text = if is_the_model { t.reach.nothing_fits_model } else { t.reach.nothing_fits };
        view! { <p class="note">{fill(text, &[("bytes", &bytes(model_bytes))])}</p> }
    });
    view! {
        {nothing}
        <table id="reach-values" tabindex="0">
            <caption>{fill(t.reach.budget_line, &[("bytes", &bytes(drawn.budget))])}</caption>
            <thead><tr>
                <th scope="col">{t.reach.strategy}</th><th scope="col" colspan="2">{at}</th>
                <th scope="col">{t.reach.reaches}</th>
                {(!marks.is_empty()).then(|| view! { <th scope="col">{t.reach.reported}</th> })}
            </tr></thead>
            <tbody>{drawn.chart.lines.iter().map(row).collect_view()}</tbody>
        </table>
    }
}

/// What the pictures above say, where they show the same.
fn exact_bytes(step: StepState, planner: Planner, kind: StrategyKind, length: u32) -> Option<u64> {
    let is_the_forms = planner.model.with(Option::is_none) && !planner.without_model.get() && !planner.is_split();
    step.plans.with(|plans| {
        let plans = plans.as_ref().ok().filter(|plans| is_the_forms && plans.plan.shape.longest() == length)?;
        Some(plans.all[kind as usize].peak_bytes())
    })
}

/// The lines at lengths that are powers of two.
pub fn table(t: T, chart: &Chart) -> impl IntoView + use<> {
    let lengths = chart.lines[0].points.iter().map(|&(tokens, _)| tokens).filter(|tokens| tokens.is_power_of_two());
    let cell = |line: &Line, tokens: u32| {
        view! { <td class:over=line.longest.is_none_or(|longest| tokens > longest)>{bytes(line.bytes_at(tokens))}</td> }
    };
    let row = |tokens: u32| {
        let cells = chart.lines.iter().map(|line| cell(line, tokens)).collect_view();
        view! { <tr><th scope="row">{whole(u64::from(tokens))}</th>{cells}</tr> }
    };
    view! {
        <table tabindex="0">
            <thead><tr>
                <th scope="col">{t.reach.length}</th>
                {StrategyKind::ALL.map(|kind| view! { <th scope="col">{kind.name()}</th> }).collect_view()}
            </tr></thead>
            <tbody>{lengths.map(row).collect_view()}</tbody>
        </table>
    }
}
