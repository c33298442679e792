//! Curves of what was measured, with earlier runs laid over.

use leptos::prelude::*;
use web_sys::PointerEvent;

use super::positions;
use crate::train::StepReport;
use crate::web::axis::{SIDE, number};
use crate::web::charts::{PlotFile, PlotLine};
use crate::web::curve::{self, Point, polyline, smoothed};
use crate::web::form::ObjectiveChoice;
use crate::web::format::{digits, seconds, whole};
use crate::web::i18n::{T, fill};
use crate::web::metrics::{EVAL_REWARD, Quantity, csv};
use crate::web::page::browser;
use crate::web::page::components::axes;
use crate::web::page::state::{CurveLook, RunState, Settings};

/// Steps in the table.
const TABLE_ROWS: usize = 20;

/// A curve with its look and its name.
struct Line {
    points: Vec<Point>,
    class: &'static str,
    name: String,
}

pub fn view(settings: Settings, run: RunState, t: T) -> impl IntoView {
    let look = run.look;
    let option = move |quantity: Quantity| {
        view! { <option value=quantity.name() prop:selected=move || look.get().quantity == quantity>{name(t, quantity)}</option> }
    };
    let choose = move |chosen: String| {
        let quantity = Quantity::ALL.into_iter().find(|quantity| quantity.name() == chosen);
        look.update(|look| look.quantity = quantity.unwrap_or(look.quantity));
    };
    let check = move |id: &'static str, name: &str, field: fn(&mut CurveLook) -> &mut bool| {
        view! {
            <label class="check"><input id=id type="checkbox" prop:checked=move || *field(&mut look.get())
                on:change=move |event| look.update(|look| *field(look) = event_target_checked(&event))/> {name.to_owned()}</label>
        }
    };
    let objective = Memo::new(move |_| settings.form.with(|form| form.objective));
    let give_csv = move |_| {
        let text = run.history.with_untracked(|history| csv(history, objective.get_untracked()));
        browser::download("metrics.csv", "text/csv", text.as_bytes());
    };
    let give_svg = move |_| {
        let svg = untrack(|| file(run, t, run.look.get()));
        browser::download("curve.svg", "image/svg+xml", svg.as_bytes());
    };
    let nothing = move || run.history.with(|history| history.steps.is_empty());
    view! {
        <section aria-labelledby="curve-title">
            <h2 id="curve-title">{t.training.curve}</h2>
            <div class="options">
                <select id="quantity" aria-label=t.training.quantity on:change=move |event| choose(event_target_value(&event))>
                    {move || Quantity::ALL.into_iter().filter(|quantity| quantity.is_of(objective.get())).map(option).collect_view()}
                </select>
                {check("raw", t.training.raw, |look| &mut look.raw)}
                {check("smoothed", t.training.smoothed, |look| &mut look.smoothed)}
                {check("log-scale", t.training.log_scale, |look| &mut look.log)}
            </div>
            <div id="history" data-losses=move || losses(run)>{move || curves(run, t)}</div>
            <div class="buttons exports">
                <button id="export-csv" type="button" class:hidden=nothing on:click=give_csv>{t.training.export_csv}</button>
                <button id="curve-svg" type="button" on:click=give_svg>{t.step_grid.export_svg}</button>
            </div>
            <details><summary>{t.training.as_table}</summary>{move || table(run, t)}</details>
            // Of a rejected answer a loss says nothing, and completions have no positions that could be compared.
            {move || (objective.get() == ObjectiveChoice::Sft).then(|| positions::view(run, t))}
        </section>
    }
}

fn name(t: T, quantity: Quantity) -> String {
    match quantity {
        Quantity::Loss => t.training.loss,
        Quantity::Accuracy => t.training.accuracy,
        Quantity::GradNorm => t.training.grad_norm,
        Quantity::LearningRate => t.training.learning_rate,
        Quantity::Speed => t.training.tokens_per_second,
        // They have TRL's names.
        _ => quantity.name(),
    }
    .to_owned()
}

fn losses(run: RunState) -> String {
    let losses = run.history.with(|history| history.steps.iter().map(|report| report.loss.to_string()).collect::<Vec<_>>());
    format!("[{}]", losses.join(","))
}

/// Everything that is drawn, what matters most last.
fn lines(run: RunState, t: T, look: CurveLook) -> Vec<Line> {
    let mut lines = Vec::new();
    for past in run.past.get().iter().filter(|past| past.is_shown.get()) {
        let steps = look.quantity.of_steps(&past.history);
        let points = if steps.is_empty() { look.quantity.of_validations(&past.history) } else { smoothed(&steps) };
        lines.push(Line { points, class: "line-past", name: format!("{} {}", t.training.run, past.number) });
    }
    run.history.with(|history| {
        let classes = ["line-training", "line-training faint"];
        lines.extend(by_steps(look.quantity.of_steps(history), look, classes, &name(t, look.quantity)));
        let validation = match look.quantity {
            Quantity::Loss => t.training.validation_loss.to_owned(),
            Quantity::Reward => EVAL_REWARD.to_owned(),
            quantity => name(t, quantity),
        };
        lines.push(Line { points: look.quantity.of_validations(history), class: "line-validation", name: validation });
    });
    lines.retain(|line| !line.points.is_empty());
    lines
}

/// What was measured in every step, as it is and smoothed. `classes` are the look of a line, and of one that is as it is behind a smoothed one.
fn by_steps(steps: Vec<Point>, look: CurveLook, [class, faint]: [&'static str; 2], name: &str) -> Vec<Line> {
    let raw = match (look.raw, look.smoothed) {
        (true, true) => Some(Line { points: steps.clone(), class: faint, name: String::new() }),
        (true, false) => Some(Line { points: steps.clone(), class, name: name.to_owned() }),
        (false, _) => None,
    };
    let smooth = look.smoothed.then(|| Line { points: smoothed(&steps), class, name: name.to_owned() });
    raw.into_iter().chain(smooth).collect()
}

fn curves(run: RunState, t: T) -> impl IntoView {
    let look = run.look.get();
    picture(t, lines(run, t, look), &name(t, look.quantity), look.log)
}

/// The rewards of pairs: of chosen and of rejected answers, and their difference.
pub fn rewards(run: RunState, t: T) -> impl IntoView {
    let look = run.look.get();
    let lines = run.history.with(|history| {
        let lines = [
            (Quantity::ChosenReward, ["line-training", "line-training faint"]),
            (Quantity::RejectedReward, ["line-validation", "line-validation faint"]),
            (Quantity::Margin, ["line-margin", "line-margin faint"]),
        ];
        lines
            .map(|(quantity, classes)| by_steps(quantity.of_steps(history), look, classes, quantity.name()))
            .into_iter()
            .flatten()
            .collect()
    });
    picture(t, lines, "rewards", false)
}

/// The rewards of completions, and those of the likeliest completions of held-out prompts.
pub fn of_completions(run: RunState, t: T) -> impl IntoView {
    let look = run.look.get();
    let lines = run.history.with(|history| {
        let mut lines =
            by_steps(Quantity::Reward.of_steps(history), look, ["line-training", "line-training faint"], Quantity::Reward.name());
        lines.push(Line { points: Quantity::Reward.of_validations(history), class: "line-validation", name: EVAL_REWARD.to_owned() });
        lines.retain(|line| !line.points.is_empty());
        lines
    });
    picture(t, lines, Quantity::Reward.name(), false)
}

/// Lines on their axes, with a legend, and the values where one points.
fn picture(t: T, lines: Vec<Line>, what: &str, is_log: bool) -> impl IntoView + use<> {
    let points: Vec<&[Point]> = lines.iter().map(|line| &line.points[..]).collect();
    let scales = curve::axes(&points, is_log);
    let drawn = lines.iter().map(|line| view! { <polyline class=line.class points=polyline(&scales, &line.points)/> }).collect_view();
    let legend = lines.iter().filter(|line| !line.name.is_empty()).map(|line| {
        let last = line.points.last().map_or_else(String::new, |&(_, value)| number(value));
        view! { <li class=line.class>{format!("{} {last}", line.name)}</li> }
    });
    let legend = legend.collect_view();
    let quantity = fill(t.training.curve_axes, &[("quantity", &what)]);
    let words =
        lines.iter().filter_map(|line| line.points.last().map(|&(step, value)| format!("{}: {} ({step})", line.name, number(value))));
    let words = format!("{quantity}. {}", words.collect::<Vec<_>>().join("; "));
    let is_empty = lines.is_empty();
    let steps = scales.x.clone();
    let reading = RwSignal::new(String::new());
    let point = move |event: PointerEvent| {
        let step = steps.value(browser::share_across(&event)).round() as u64;
        let at = lines.iter().filter(|line| !line.name.is_empty()).filter_map(|line| {
            let &(at, value) = line.points.iter().rev().find(|(at, _)| *at <= step)?;
            Some(format!("{} {} ({at})", line.name, number(value)))
        });
        reading.set(at.collect::<Vec<_>>().join(" · "));
    };
    view! {
        <ul class="legend">{legend}</ul>
        <div class="curve" role="img" aria-label=words on:pointermove=point on:pointerleave=move |_| reading.set(String::new())>
            {axes::y_labels(&scales.y, number)}
            {axes::x_labels(&scales.x, |step| whole(step as u64))}
            <svg viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" aria-hidden="true">
                {axes::grid(Some(&scales.x), Some(&scales.y))}
                {drawn}
            </svg>
            {is_empty.then(|| view! { <span class="empty" aria-hidden="true">{t.training.curve_empty}</span> })}
        </div>
        <p class="axis-name" aria-hidden="true">{quantity}</p>
        <p class="hint reading">{move || reading.get()}</p>
    }
}

/// The curves as a file.
fn file(run: RunState, t: T, look: CurveLook) -> String {
    let lines = lines(run, t, look);
    let points: Vec<&[Point]> = lines.iter().map(|line| &line.points[..]).collect();
    let line = |line: &Line| {
        let (colour, dashes) = match line.class {
            "line-past" => ("soft", "2 4"),
            "line-validation" => ("validation", "6 3"),
            "line-training faint" => ("line", ""),
            _ => ("training", ""),
        };
        let points = line.points.iter().map(|&(step, value)| (step as f64, value)).collect();
        PlotLine { points, colour, dashes, name: line.name.clone() }
    };
    let file = PlotFile {
        title: t.bar.title.to_owned(),
        about: name(t, look.quantity),
        axes: &curve::axes(&points, look.log),
        labels: [|step| whole(step as u64), number],
        x_name: t.training.step.to_owned(),
        lines: lines.iter().map(line).collect(),
        colour: &|name| browser::css_colour(name),
    };
    file.svg()
}

fn table(run: RunState, t: T) -> impl IntoView {
    let row = |report: &StepReport| {
        let rate = format!("{:.1e}", report.learning_rate);
        let cells =
            [format!("{:.4}", report.loss), digits(report.grad_norm), rate, digits(report.tokens_per_second), seconds(report.seconds)];
        view! { <tr><th scope="row">{report.step}</th>{cells.map(|cell| view! { <td>{cell}</td> })}</tr> }
    };
    let texts = &t.training;
    let columns = [texts.step, texts.loss, texts.grad_norm, texts.learning_rate, texts.tokens_per_second, texts.step_time];
    view! {
        <table>
            <caption>{texts.last_steps}</caption>
            <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
            <tbody>{run.history.with(|history| history.steps.iter().rev().take(TABLE_ROWS).map(row).collect_view())}</tbody>
        </table>
    }
}
