//! The step under every strategy, on one scale; times as measured here; how long a sequence each could take.

use leptos::prelude::*;

use crate::step::StrategyKind;
use crate::web::axis::{BudgetPlace, Scale, memory_scale};
use crate::web::charts::{Part, Planned};
use crate::web::format::{bytes, digits, seconds, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::components::{axes, memory_areas};
use crate::web::page::state::{Planner, Plans, Settings, State};
use crate::web::page::step::describe;
use crate::web::protocol::ToWorker;

/// All pictures have one scale: that of the highest.
pub fn cards(state: State, t: T, plans: &Plans) -> impl IntoView {
    let highest = plans.all.iter().map(Planned::peak_bytes).max().unwrap_or(0);
    let scale = Memo::new(move |_| memory_scale(highest, state.settings.budget.get()));
    StrategyKind::ALL.map(|kind| card(state, t, plans, kind, scale)).collect_view()
}

fn card(state: State, t: T, plans: &Plans, kind: StrategyKind, scale: Memo<Scale>) -> impl IntoView {
    let planned = &plans.all[kind as usize];
    let peak = planned.peak_bytes();
    let [standard, highest] = [plans.all[0].peak_bytes(), plans.all.iter().map(Planned::peak_bytes).max().unwrap_or(0)];
    let share = fill(t.compare.share, &[("percent", &digits(100.0 * peak as f64 / standard.max(1) as f64))]);
    let (op, what) = describe::describe_in(t, planned.program(), planned.peak_turn());
    let newest = move || state.planner.own_longest(kind).filter(|(_, is_old)| !is_old).map(|(tokens, _)| tokens.unwrap_or(0));
    let is_chosen = kind == plans.plan.strategy.kind;
    view! {
        <li class="card" class:chosen=is_chosen data-strategy=kind.name() data-peak-bytes=peak>
            <h3>{kind.name()} {is_chosen.then(|| view! { <span class="badge">{t.compare.chosen}</span> })}</h3>
            <p class="hint">{t.strategy(kind).to_owned()}</p>
            <p class="peak-bytes"><strong>{bytes(peak)}</strong> <span>{(kind != StrategyKind::Standard).then_some(share)}</span></p>
            <div class="small-timeline">
                {memory_areas::view(t, &plans.timelines[kind as usize], scale)}
                {budget_line(state.settings, scale)}
            </div>
            <p class="peak-at">{fill(t.compare.peak_at, &[("op", &op), ("what", &what)])}</p>
            {stacked(t, planned, highest)}
            {verdict(state.settings, t, planned)}
            <dl>
                <div><dt>{t.compare.time}</dt><dd data-time>{move || time(state, t, kind)}</dd></div>
                <div>
                    <dt>{t.compare.longest}</dt>
                    <dd data-longest=move || newest().map(|tokens| tokens.to_string()) class:stale=move || newest().is_none()>
                        {move || longest_text(state.planner, t, kind)}
                    </dd>
                </div>
            </dl>
        </li>
    }
}

/// The budget, at its place; an arrow with its value if it is far above the picture.
fn budget_line(settings: Settings, scale: Memo<Scale>) -> impl IntoView {
    move || {
        let budget = settings.budget.get()?;
        Some(match scale.with(|scale| BudgetPlace::on(scale, budget)) {
            BudgetPlace::At(share) => view! { <div class="budget-mark" style:bottom=axes::percent(100.0 * share)></div> }.into_any(),
            BudgetPlace::Above => view! { <div class="budget-above">{format!("↑ {}", bytes(budget))}</div> }.into_any(),
        })
    }
}

/// What lies in the buffers at the peak.
fn stacked(t: T, planned: &Planned, highest: u64) -> impl IntoView {
    let name = |part: Part, of_part: u64| format!("{}: {}", t.part(part), bytes(of_part));
    let segment = |part: Part| {
        let of_part = planned.peak_parts()[part as usize];
        let width = format!("{:.3}%", 100.0 * of_part as f64 / highest.max(1) as f64);
        let tip = name(part, of_part);
        view! { <span style:width=width style:background=format!("var(--{})", part.name()) data-tip=tip></span> }
    };
    let held = Part::ALL.map(|part| (part, planned.peak_parts()[part as usize])).into_iter().filter(|(_, bytes)| *bytes > 0);
    let label = held.map(|(part, bytes)| name(part, bytes)).collect::<Vec<_>>().join(", ");
    view! {
        <span class="bar" role="img" tabindex="0" aria-label=label data-tip-of="[data-tip]" data-tip-keys>{Part::ALL.map(segment).collect_view()}</span>
    }
}

/// Does it fit? If not, by how much, or what the device says.
fn verdict(settings: Settings, t: T, planned: &Planned) -> impl IntoView {
    let (peak, refusal) = (planned.peak_bytes(), planned.refusal.clone());
    move || {
        let over = settings.budget.get().and_then(|budget| peak.checked_sub(budget)).filter(|over| *over > 0);
        let (class, text) = match (&refusal, over) {
            (Some(reason), _) => ("verdict refusal", format!("{}: {reason}", t.compare.too_large)),
            (None, Some(over)) => ("verdict over", fill(t.compare.over, &[("bytes", &bytes(over))])),
            (None, None) => ("verdict", t.compare.within.to_owned()),
        };
        view! { <p class=class>{text}</p> }
    }
}

/// Are the three strategies being timed?
pub fn is_measuring(state: State) -> bool {
    state.lab.is_timed(state.settings)
        && state.lab.compared.with(Vec::len) < StrategyKind::ALL.len()
        && state.notices.trouble.with(Option::is_none)
}

fn time(state: State, t: T, kind: StrategyKind) -> String {
    let found = |compared: &Vec<(StrategyKind, Result<f64, String>)>| compared.iter().find(|(of, _)| *of == kind).cloned();
    match state.lab.compared.with(found).filter(|_| state.lab.is_timed(state.settings)) {
        Some((_, Ok(time))) => seconds(time),
        Some((_, Err(reason))) => reason,
        None if is_measuring(state) => t.compare.measuring.to_owned(),
        None => t.compare.not_measured.to_owned(),
    }
}

fn longest_text(planner: Planner, t: T, kind: StrategyKind) -> String {
    match planner.own_longest(kind) {
        // The length of the plan before this one says nothing.
        Some((_, true)) | None => t.compare.planning.to_owned(),
        Some((Some(tokens), false)) => fill(t.compare.tokens, &[("tokens", &whole(u64::from(tokens)))]),
        Some((None, false)) => t.compare.no_sequence.to_owned(),
    }
}

/// Times a step of the form's run under every strategy.
pub fn time_all(state: State) {
    let Some(run) = state.new_run() else { return };
    state.lab.compared.set(Vec::new());
    state.lab.timed.set(state.settings.plan.get_untracked().ok());
    state.send(&ToWorker::Compare(Box::new(run)));
}

pub fn measure(state: State, t: T) -> impl IntoView {
    let is_busy = move || state.run.phase.get().is_busy() || state.device.adapter.with(Option::is_none) || is_measuring(state);
    let text = move || if is_measuring(state) { t.compare.measuring } else { t.compare.measure };
    view! { <div class="buttons"><button id="measure" type="button" aria-describedby="lab-why-not" disabled=is_busy on:click=move |_| time_all(state)>{text}</button></div> }
}

pub fn table(t: T, plans: &Plans) -> impl IntoView {
    let cells = |of: &dyn Fn(&Planned) -> u64| plans.all.iter().map(|planned| view! { <td>{bytes(of(planned))}</td> }).collect_view();
    let row = |part: Part| {
        view! { <tr><th scope="row">{t.part(part).to_owned()}</th>{cells(&|planned| planned.peak_parts()[part as usize])}</tr> }
    };
    view! {
        <table tabindex="0">
            <caption>{t.compare.peaks}</caption>
            <thead><tr>
                <th scope="col">{t.compare.part}</th>
                {StrategyKind::ALL.map(|kind| view! { <th scope="col">{kind.name()}</th> }).collect_view()}
            </tr></thead>
            <tbody>
                {Part::ALL.map(row).collect_view()}
                <tr><th scope="row">{t.compare.gaps}</th>{cells(&|planned| planned.plan.unused_bytes())}</tr>
                <tr class="sum"><th scope="row">{t.compare.sum}</th>{cells(&Planned::peak_bytes)}</tr>
            </tbody>
        </table>
    }
}
