//! How far can I go: peak bytes over the length of a sequence, and where each strategy stops to fit.

use std::sync::Arc;

use leptos::prelude::*;

use super::planning::{Planning, planning};
use super::state::State;
use super::{T, kept};
use crate::model::{PUBLISHED, Preset};
use crate::step::{SavedActivations, Strategy, StrategyKind};
use crate::web::form::Field;
use crate::web::format::{bytes, whole};
use crate::web::reach::{Axes, Chart, Line, SIDE, Topic, place_of, spread, tokens, tokens_at};
use crate::web::texts::fill;

/// Labels at the lines' ends keep this distance, in percent of the chart's height.
const LABEL_GAP: f64 = 7.0;
/// How far down, in percent, a line may be that has its name beneath it.
const LOWEST_LINE: f64 = 93.0;

/// A chart with its budget, on its axes.
#[derive(Clone, PartialEq)]
struct Drawn {
    chart: Arc<Chart>,
    axes: Axes,
    budget: u64,
    without_model: bool,
}

pub fn view(state: State, t: T) -> impl IntoView {
    let planning = planning();
    let answer = Memo::new(move |_| planning.chart());
    let is_out_of_date = move || answer.with(|answer| answer.as_ref().is_none_or(|(_, is_old)| *is_old));
    let drawn = Memo::new(move |before: Option<&Option<Drawn>>| {
        let question = planning.question.get()?;
        let (chart, is_old) = answer.get()?;
        // The old picture stays until the new one is there, with the budget that it was drawn for.
        if let (true, Some(Some(before))) = (is_old, before) {
            return Some(before.clone());
        }
        let axes = Axes::of(&chart, question.budget);
        Some(Drawn { chart: Arc::new(chart), axes, budget: question.budget, without_model: question.without_model })
    });
    let has_question = Memo::new(move |_| planning.question.with(Option::is_some));
    let picture = move || match drawn.get() {
        _ if !has_question.get() => view! { <p class="note">{t.reach.no_question}</p> }.into_any(),
        Some(drawn) => chart(state, t, planning, &drawn).into_any(),
        None => ().into_any(),
    };
    let values = move || drawn.get().filter(|_| has_question.get()).map(|drawn| readout(state, t, planning, &drawn));
    let lines_table = move || drawn.get().map(|drawn| table(t, &drawn.chart));
    view! {
        <section class="reach" aria-labelledby="reach-title">
            <h2 id="reach-title">{t.reach.title}</h2>
            <p class="hint">{t.reach.about}</p>
            {choice(t, planning)}
            <div class="reach-picture" aria-busy=move || is_out_of_date().to_string()>
                {picture}
                <p class="planning" class:hidden=move || !(is_out_of_date() && has_question.get())>{t.reach.computing}</p>
            </div>
            {slider(state, t, planning, drawn)}
            {values}
            {choose(state, t, planning)}
            <details><summary>{t.reach.as_table}</summary>{lines_table}</details>
        </section>
    }
}

/// Which model, and what of it.
fn choice(t: T, planning: Planning) -> impl IntoView {
    let name = move || planning.model.get().map_or("", |preset| preset.name);
    let option = move |preset: &'static Preset| {
        view! { <option value=preset.name prop:selected=move || name() == preset.name>{preset.name}</option> }
    };
    let choose = move |name: String| planning.model.set(PUBLISHED.iter().find(|preset| preset.name == name));
    let about = move || planning.model.get().map_or_else(String::new, |preset| fill(t.reach.published_about, &[("about", &preset.about)]));
    view! {
        <div class="reach-choice">
            <div>
                <label class="field" for="reach-model">{t.reach.model}</label>
                <select id="reach-model" aria-describedby="reach-model-about" on:change=move |event| choose(event_target_value(&event))>
                    <option value="" prop:selected=move || name().is_empty()>{t.reach.own_model}</option>
                    <optgroup label=t.reach.published>{PUBLISHED.iter().map(option).collect_view()}</optgroup>
                </select>
            </div>
            <div class:hidden=move || name().is_empty()>
                <label class="field" for="reach-budget">{t.reach.budget}</label>
                <input id="reach-budget" type="text" inputmode="decimal" autocomplete="off" prop:value=move || planning.gib.get()
                    on:input=move |event| planning.gib.set(event_target_value(&event))/>
            </div>
        </div>
        <p class="hint" id="reach-model-about">{about}</p>
        <label class="check"><input id="without-model" type="checkbox" prop:checked=move || planning.without_model.get()
            on:change=move |event| planning.without_model.set(event_target_checked(&event))/>
            {t.reach.without_model}
        </label>
    }
}

fn chart(state: State, t: T, planning: Planning, drawn: &Drawn) -> impl IntoView {
    let Drawn { chart, axes, budget, without_model } = drawn.clone();
    let percent = |value: f64| format!("{value:.2}%");
    let horizontal = |y: f64| view! { <line x1="0" x2=SIDE y1=SIDE / 100.0 * y y2=SIDE / 100.0 * y/> };
    let vertical = |x: f64| view! { <line y1="0" y2=SIDE x1=SIDE / 100.0 * x x2=SIDE / 100.0 * x/> };
    let path = |line: &Line| view! { <path class=class_of(line.kind) d=axes.path(line)/> };
    let ends: Vec<f64> = chart.lines.iter().map(|line| axes.y(line.bytes_at(chart.end))).chain([axes.y(budget)]).collect();
    let names = chart.lines.iter().map(|line| (class_of(line.kind), line.kind.name().to_owned()));
    let names = names.chain([("of-budget", t.stage.budget.to_owned())]);
    let labels = names.zip(spread(&ends, LABEL_GAP)).map(|((class, name), y)| {
        view! { <span class=format!("label {class}") style:top=percent(y)>{name}</span> }
    });
    let cross = |line: &Line| {
        let tokens = line.longest.filter(|&tokens| tokens < chart.end)?;
        let text = format!("{}: {}", line.kind, fill(t.reach.tokens, &[("tokens", &whole(u64::from(tokens)))]));
        Some(view! {
            <span class=format!("cross {}", class_of(line.kind)) style:left=percent(axes.x(tokens)) style:top=percent(axes.y(line.bytes_at(tokens))) title=text>"×"</span>
        })
    };
    let x = {
        let axes = axes.clone();
        move || format!("{:.2}%", axes.x(planning.shown_length(state)))
    };
    let dot = |line: &Line| {
        let (axes, line, class) = (axes.clone(), line.clone(), class_of(line.kind));
        let y = move || format!("{:.2}%", axes.y(line.bytes_at(planning.shown_length(state))));
        view! { <i class=class style:top=y></i> }
    };
    // So far down it would stand among the lengths of the axis.
    let is_above_the_axis = axes.y(chart.model_bytes) < LOWEST_LINE;
    let model_line = (!without_model && is_above_the_axis).then(|| {
        let text = fill(t.reach.model_line, &[("bytes", &bytes(chart.model_bytes))]);
        view! { <span class="level model" style:top=percent(axes.y(chart.model_bytes))><b>{text}</b></span> }
    });
    view! {
        <div class="reach-chart">
            <div class="plot" id="reach-chart" role="img" aria-label=t.reach.picture>
                <svg viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" aria-hidden="true">
                    <g class="ticks">
                        {axes.byte_ticks().into_iter().map(|bytes| horizontal(axes.y(bytes))).collect_view()}
                        {axes.token_ticks().into_iter().map(|tokens| vertical(axes.x(tokens))).collect_view()}
                    </g>
                    {chart.lines.iter().map(path).collect_view()}
                </svg>
                {model_line}
                <span class="level" style:top=percent(axes.y(budget))></span>
                {axes.byte_ticks().into_iter().map(|value| view! { <span class="tick" style:top=percent(axes.y(value))>{short_bytes(value)}</span> }).collect_view()}
                {axes.token_ticks().into_iter().map(|value| view! { <span class="tick-x" style:left=percent(axes.x(value))>{tokens(value)}</span> }).collect_view()}
                {labels.collect_view()}
                <div class="marker" style:left=x>{chart.lines.iter().map(dot).collect_view()}</div>
                {chart.lines.iter().map(cross).collect_view()}
            </div>
            <p class="axis-name" aria-hidden="true">{t.reach.axis}</p>
        </div>
    }
}

/// Powers of two need no digits behind the point.
fn short_bytes(value: u64) -> String {
    let text = bytes(value.max(1));
    let (number, unit) = text.split_once(' ').expect("bytes have a unit");
    let number = number.parse::<f64>().unwrap_or(0.0);
    format!("{number} {unit}")
}

fn class_of(kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::Standard => "of-standard",
        StrategyKind::Checkpoint => "of-checkpoint",
        StrategyKind::Stream => "of-stream",
    }
}

/// What the marker shows, and how far each strategy goes.
fn readout(state: State, t: T, planning: Planning, drawn: &Drawn) -> impl IntoView + use<> {
    let row = |line: &Line| {
        let (line, budget) = (line.clone(), drawn.budget);
        let kind = line.kind;
        let reaches = line.longest.map_or_else(|| t.reach.none.to_owned(), |tokens| whole(u64::from(tokens)));
        let limit = line.by_device.then(|| t.reach.device_limit.to_owned());
        let longest = line.longest;
        let now = Memo::new(move |_| {
            let length = planning.shown_length(state);
            (
                exact_bytes(state, planning, kind, length).unwrap_or_else(|| line.bytes_at(length)),
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
            </tr>
        }
    };
    let at = move || fill(t.reach.at, &[("tokens", &whole(u64::from(planning.shown_length(state))))]);
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
            </tr></thead>
            <tbody>{drawn.chart.lines.iter().map(row).collect_view()}</tbody>
        </table>
    }
}

/// What the pictures above say, where they show the same.
fn exact_bytes(state: State, planning: Planning, kind: StrategyKind, length: u32) -> Option<u64> {
    let is_the_forms = planning.model.with(Option::is_none) && !planning.without_model.get();
    state.plans.with(|plans| {
        let plans = plans.as_ref().ok().filter(|plans| is_the_forms && plans.plan.shape.longest() == length)?;
        Some(plans.all[kind as usize].peak_bytes())
    })
}

/// The slider, as long as the chart is wide, and a number beside it.
fn slider(state: State, t: T, planning: Planning, drawn: Memo<Option<Drawn>>) -> impl IntoView {
    let end = Memo::new(move |_| drawn.with(|drawn| drawn.as_ref().map_or(1 << 17, |drawn| drawn.chart.end)));
    let length = move || planning.shown_length(state);
    let spoken = move || fill(t.reach.tokens, &[("tokens", &length())]);
    let slide = move |value: String| {
        if let Ok(place) = value.parse() {
            planning.go_to(state, tokens_at(place));
        }
    };
    let typed = move || match planning.is_bound(state) {
        true => state.form.with(|form| form.get(Field::SeqLen).to_owned()),
        false => length().to_string(),
    };
    let type_in = move |value: String| match value.trim().parse() {
        Ok(tokens) if tokens > 0 => planning.go_to(state, tokens),
        _ if untrack(|| planning.is_bound(state)) => state.form.update(|form| form.set(Field::SeqLen, value)),
        _ => {}
    };
    let note = move || if planning.is_bound(state) { String::new() } else { t.reach.marker_only.to_owned() };
    view! {
        <div class="reach-length">
            <input id="reach-length" type="range" min="0" max=move || place_of(end.get()).to_string() step="1" aria-label=t.reach.seq_len
                aria-valuetext=spoken aria-describedby="reach-note" prop:value=move || place_of(length()).to_string()
                on:input=move |event| slide(event_target_value(&event))/>
            <label class="field" for="reach-number">{t.reach.seq_len_number}</label>
            <input id="reach-number" type="text" inputmode="numeric" autocomplete="off" prop:value=typed on:input=move |event| type_in(event_target_value(&event))/>
        </div>
        <p class="hint" id="reach-note">{note}</p>
    }
}

/// The planner's choice for the form.
fn choose(state: State, t: T, planning: Planning) -> impl IntoView {
    let is_barred = move || !planning.is_bound(state) || planning.is_choosing.get() || planning.own_question.with(Option::is_none);
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
        <p class="hint" id="choose-about">{t.reach.choose_about}</p>
        <p id="choice" role="status">{outcome}</p>
    }
}

/// What a choice keeps, and where it lets the inputs of layers wait, unless that is as usual.
fn beside(state: State, t: T) -> String {
    state.form.with(|form| {
        let kept = (form.saved_activations != SavedActivations::NONE).then(|| format!(" {}.", kept::summary(t, form)));
        let offload = form.offload.then(|| format!(" {}.", t.model.offload));
        kept.into_iter().chain(offload).collect()
    })
}

/// The lines at lengths that are powers of two.
fn table(t: T, chart: &Chart) -> impl IntoView + use<> {
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
