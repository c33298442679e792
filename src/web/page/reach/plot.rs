//! The chart: a line for each strategy over the sequence length, the budget, our longest sequences and the paper's.

use leptos::prelude::*;

use super::drawn::Drawn;
use crate::step::StrategyKind;
use crate::web::axis::{SIDE, short_bytes, spread, tokens};
use crate::web::charts::{PlotFile, PlotLine};
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::memory_curve::{Line, path};
use crate::web::page::browser;
use crate::web::page::components::axes;
use crate::web::page::state::Planner;
use crate::web::published::Mark;

/// Labels at the lines' ends keep this distance, in percent of the chart's height.
const LABEL_GAP: f64 = 7.0;
/// How far down, in percent, a line may be that has its name beneath it.
const LOWEST_LINE: f64 = 93.0;

pub fn view(t: T, planner: Planner, drawn: &Drawn) -> impl IntoView {
    let give_svg = {
        let drawn = drawn.clone();
        move |_| browser::download("sequence-length.svg", "image/svg+xml", file(t, &drawn).as_bytes())
    };
    view! {
        <div class="reach-chart">
            <div class="plot" id="reach-chart">
                {lines(t, drawn)}
                {model_line(t, drawn)}
                <span class="level" style:top=axes::percent(drawn.axes.top(drawn.budget as f64))></span>
                {axes::y_labels(&drawn.axes.y, short_bytes)}
                {axes::x_labels(&drawn.axes.x, tokens)}
                {names(t, drawn)}
                {marker(planner, drawn)}
                {drawn.chart.lines.iter().map(|line| longest(t, drawn, line)).collect_view()}
                {drawn.marks.iter().map(|mark| reported(t, drawn, mark)).collect_view()}
            </div>
            <p class="axis-name" aria-hidden="true">{t.reach.axis}</p>
        </div>
        {key(t, drawn)}
        <div class="buttons exports"><button id="reach-svg" type="button" on:click=give_svg>{t.step_grid.export_svg}</button></div>
    }
}

/// The chart without what the visitor looks at in it.
pub fn plain(t: T, drawn: &Drawn) -> impl IntoView + use<> {
    view! {
        <div class="reach-chart">
            <div class="plot">
                {lines(t, drawn)}
                <span class="level" style:top=axes::percent(drawn.axes.top(drawn.budget as f64))></span>
                {axes::y_labels(&drawn.axes.y, short_bytes)}
                {axes::x_labels(&drawn.axes.x, tokens)}
                {names(t, drawn)}
                {drawn.chart.lines.iter().map(|line| longest(t, drawn, line)).collect_view()}
            </div>
            <p class="axis-name" aria-hidden="true">{t.reach.axis}</p>
        </div>
    }
}

/// The chart as a file.
fn file(t: T, drawn: &Drawn) -> String {
    let Drawn { chart, axes, budget, .. } = drawn;
    let line = |line: &Line| {
        let (colour, dashes) = match line.kind {
            StrategyKind::Standard => ("logits", "2 5"),
            StrategyKind::Checkpoint => ("validation", "9 5"),
            StrategyKind::Stream => ("training", ""),
        };
        let points = line.points.iter().map(|&(tokens, bytes)| (f64::from(tokens), bytes as f64)).collect();
        PlotLine { points, colour, dashes, name: line.kind.name().to_owned() }
    };
    let level = [axes.x.low(), axes.x.high()].map(|tokens| (tokens, *budget as f64));
    let level = PlotLine { points: level.to_vec(), colour: "ink", dashes: "", name: t.step_grid.budget.to_owned() };
    let file = PlotFile {
        title: t.reach.title.to_owned(),
        about: fill(t.reach.budget_line, &[("bytes", &bytes(*budget))]),
        axes,
        labels: [tokens, short_bytes],
        x_name: t.reach.axis.to_owned(),
        lines: [level].into_iter().chain(chart.lines.iter().map(line)).collect(),
        colour: &|name| browser::css_colour(name),
    };
    file.svg()
}

fn lines(t: T, drawn: &Drawn) -> impl IntoView + use<> {
    let line = |line: &Line| view! { <path class=class_of(line.kind) d=path(&drawn.axes, line)/> };
    view! {
        <svg viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" role="img" aria-label=t.reach.picture>
            {axes::grid(Some(&drawn.axes.x), Some(&drawn.axes.y))}
            {drawn.chart.lines.iter().map(line).collect_view()}
        </svg>
    }
}

/// The bytes of the model alone.
fn model_line(t: T, drawn: &Drawn) -> impl IntoView + use<> {
    let y = drawn.axes.top(drawn.chart.model_bytes as f64);
    // So far down it would stand among the lengths of the axis.
    let is_above_the_axis = y < LOWEST_LINE;
    let text = fill(t.reach.model_line, &[("bytes", &bytes(drawn.chart.model_bytes))]);
    (!drawn.without_model && is_above_the_axis).then(|| view! { <span class="level model" style:top=axes::percent(y)><b>{text}</b></span> })
}

/// The names of the lines, at their ends.
fn names(t: T, drawn: &Drawn) -> impl IntoView + use<> {
    let (chart, scales) = (&drawn.chart, &drawn.axes);
    let ends: Vec<f64> =
        chart.lines.iter().map(|line| line.bytes_at(chart.end)).chain([drawn.budget]).map(|bytes| scales.top(bytes as f64)).collect();
    let names = chart.lines.iter().map(|line| (class_of(line.kind), line.kind.name().to_owned()));
    let names = names.chain([("of-budget", t.step_grid.budget.to_owned())]);
    let name =
        |((class, name), y): ((&str, String), f64)| view! { <span class=format!("label {class}") style:top=axes::percent(y)>{name}</span> };
    names.zip(spread(&ends, LABEL_GAP)).map(name).collect_view()
}

/// A line at the length that is looked at, with a dot on each strategy.
fn marker(planner: Planner, drawn: &Drawn) -> impl IntoView + use<> {
    let x = {
        let scales = drawn.axes.clone();
        move || axes::percent(scales.left(f64::from(planner.shown_length())))
    };
    let dot = |line: &Line| {
        let (scales, line, class) = (drawn.axes.clone(), line.clone(), class_of(line.kind));
        let y = move || axes::percent(scales.top(line.bytes_at(planner.shown_length()) as f64));
        view! { <i class=class style:top=y></i> }
    };
    view! { <div class="marker" style:left=x>{drawn.chart.lines.iter().map(dot).collect_view()}</div> }
}

/// Where a strategy meets the budget.
fn longest(t: T, drawn: &Drawn, line: &Line) -> Option<impl IntoView + use<>> {
    let tokens = line.longest.filter(|&tokens| tokens < drawn.chart.end)?;
    let at = [drawn.axes.left(f64::from(tokens)), drawn.axes.top(line.bytes_at(tokens) as f64)];
    Some(point("cross", line.kind, at, fill(t.reach.longest_is, &[("strategy", &line.kind), ("tokens", &whole(u64::from(tokens)))])))
}

/// A length that the paper reports.
fn reported(t: T, drawn: &Drawn, mark: &Mark) -> impl IntoView + use<> {
    let at = [drawn.axes.left(f64::from(mark.tokens)), drawn.axes.top(mark.bytes as f64)];
    point("pin", mark.strategy, at, fill(t.reach.reported_is, &[("strategy", &mark.strategy), ("tokens", &whole(u64::from(mark.tokens)))]))
}

/// A point of the chart, which says what it is to pointers, keys and fingers.
fn point(shape: &str, kind: StrategyKind, [x, y]: [f64; 2], text: String) -> impl IntoView + use<> {
    let (class, label) = (format!("point {shape} {}", class_of(kind)), text.clone());
    view! {
        <span class=class style:left=axes::percent(x) style:top=axes::percent(y) data-strategy=kind.name()
            role="img" tabindex="0" aria-label=label data-tip=text></span>
    }
}

/// What the points are.
fn key(t: T, drawn: &Drawn) -> impl IntoView + use<> {
    let reported = (!drawn.marks.is_empty()).then(|| view! { <li><i class="pin" aria-hidden="true"></i>{t.reach.key_reported}</li> });
    view! {
        <ul class="point-key">
            <li><i class="cross" aria-hidden="true"></i>{t.reach.key_longest}</li>
            {reported}
        </ul>
    }
}

/// The colour and the dashes of a strategy.
pub fn class_of(kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::Standard => "of-standard",
        StrategyKind::Checkpoint => "of-checkpoint",
        StrategyKind::Stream => "of-stream",
    }
}
