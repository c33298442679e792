//! How the run is doing: numbers, the loss curve, what the model writes.

use leptos::prelude::*;

use super::state::State;
use crate::train::StepReport;
use crate::web::curve::{Axes, Point, SIZE};
use crate::web::form::SourceChoice;
use crate::web::{format, texts};

/// Steps in the table.
const TABLE_ROWS: usize = 20;

pub fn view(state: State) -> impl IntoView {
    view! {
        {numbers(state)}
        <section aria-labelledby="curve-title">
            <h2 id="curve-title">{texts::CURVE}</h2>
            <div id="history" data-losses=move || losses(state)>
                {move || curve(state)}
                <details><summary>{texts::AS_TABLE}</summary>{move || table(state)}</details>
            </div>
        </section>
        <section aria-labelledby="sample-title">
            <h2 id="sample-title">{texts::SAMPLE}</h2>
            <pre id="sample" tabindex="0" aria-labelledby="sample-title" data-step=move || state.sample.get().map(|(step, _)| step)>
                {move || sample(state)}
            </pre>
        </section>
    }
}

fn last(state: State) -> Option<StepReport> {
    state.steps.with(|steps| steps.last().copied())
}

fn numbers(state: State) -> impl IntoView {
    let show = move |of: fn(StepReport) -> String| move || last(state).map_or_else(|| "–".to_owned(), of);
    let validation = move |of: fn(crate::train::Validation) -> Option<String>| {
        move || state.validations.with(|all| all.last().and_then(|&(_, v)| of(v))).unwrap_or_else(|| "–".to_owned())
    };
    let has_answers = move || state.form.with(|form| form.source == SourceChoice::Recall);
    let loss = view! {
        <dd id="loss" data-step=move || last(state).map(|r| r.step) data-loss=move || last(state).map(|r| r.loss)>
            {show(|r| format!("{:.4}", r.loss))}
        </dd>
    };
    view! {
        <dl class="numbers">
            <div><dt>{texts::STEPS_DONE}</dt><dd>{show(|r| format::whole(r.step))}</dd></div>
            <div><dt>{texts::LOSS}</dt>{loss}</div>
            <div><dt>{texts::VALIDATION_LOSS}</dt><dd id="validation">{validation(|v| Some(format!("{:.4}", v.loss)))}</dd></div>
            {move || has_answers().then(|| view! {
                <div><dt>{texts::ACCURACY}</dt><dd>{validation(|v| v.accuracy.map(|share| format!("{:.0} %", 100.0 * share)))}</dd></div>
            })}
            <div><dt>{texts::TOKENS_PER_SECOND}</dt><dd>{show(|r| format::digits(r.tokens_per_second))}</dd></div>
            <div><dt>{texts::STEP_TIME}</dt><dd>{show(|r| format::seconds(r.seconds))}</dd></div>
            <div><dt>{texts::LEARNING_RATE}</dt><dd>{show(|r| format!("{:.1e}", r.learning_rate))}</dd></div>
            <div><dt>{texts::GRAD_NORM}</dt><dd>{show(|r| format::digits(r.grad_norm))}</dd></div>
        </dl>
    }
}

fn losses(state: State) -> String {
    state.steps.with(|steps| {
        let losses: Vec<f64> = steps.iter().map(|report| report.loss).collect();
        serde_json::to_string(&losses).expect("numbers are plain data")
    })
}

fn curve(state: State) -> impl IntoView {
    let training: Vec<Point> = state.steps.with(|steps| steps.iter().map(|report| (report.step, report.loss)).collect());
    let validation: Vec<Point> = state.validations.with(|all| all.iter().map(|&(step, v)| (step, v.loss)).collect());
    let axes = Axes::of(&[&training, &validation]);
    let percent = |value: f64| format!("{:.2}%", 100.0 * value / SIZE);
    let ticks = axes.ticks.iter().map(|&loss| {
        let label = (loss * 1000.0).round() / 1000.0;
        view! { <span class="tick" style:top=percent(axes.y(loss))>{label}</span> }
    });
    let lines = axes.ticks.iter().map(|&loss| view! { <line x1="0" x2=SIZE y1=axes.y(loss) y2=axes.y(loss)/> });
    let dot = |class: &'static str, point: Option<&Point>| {
        point.map(|&(step, loss)| {
            view! { <span class=format!("dot {class}") style:left=percent(axes.x(step)) style:top=percent(axes.y(loss))></span> }
        })
    };
    let words = match training.last() {
        None => texts::CURVE_EMPTY.to_owned(),
        Some(&(step, loss)) => format!("{}: {loss:.3} at step {step}; the first was {:.3}", texts::CURVE_AXES, training[0].1),
    };
    view! {
        <ul class="legend"><li class="line-training">{texts::LOSS}</li><li class="line-validation">{texts::VALIDATION_LOSS}</li></ul>
        <div class="curve" role="img" aria-label=words>
            {ticks.collect_view()}
            <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
                <g class="lines">{lines.collect_view()}</g>
                <polyline class="line-training" points=axes.line(&training)/>
                <polyline class="line-validation" points=axes.line(&validation)/>
            </svg>
            {training.is_empty().then(|| view! { <span class="empty" aria-hidden="true">{texts::CURVE_EMPTY}</span> })}
            {dot("line-training", training.last())}
            {dot("line-validation", validation.last())}
        </div>
        <p class="axis"><span>"step 1"</span><span>{texts::CURVE_AXES}</span><span>{format!("step {}", axes.steps)}</span></p>
    }
}

fn table(state: State) -> impl IntoView {
    let row = |report: &StepReport| {
        view! {
            <tr>
                <th scope="row">{report.step}</th>
                <td>{format!("{:.4}", report.loss)}</td>
                <td>{format::digits(report.grad_norm)}</td>
                <td>{format!("{:.1e}", report.learning_rate)}</td>
                <td>{format::seconds(report.seconds)}</td>
            </tr>
        }
    };
    view! {
        <table>
            <caption>{texts::LAST_STEPS}</caption>
            <thead><tr>
                <th scope="col">{texts::STEP}</th><th scope="col">{texts::LOSS}</th><th scope="col">{texts::GRAD_NORM}</th>
                <th scope="col">{texts::LEARNING_RATE}</th><th scope="col">{texts::STEP_TIME}</th>
            </tr></thead>
            <tbody>{state.steps.with(|steps| steps.iter().rev().take(TABLE_ROWS).map(row).collect_view())}</tbody>
        </table>
    }
}

fn sample(state: State) -> String {
    match state.sample.get() {
        Some((_, text)) => text,
        None if state.form.with(|form| form.source == SourceChoice::Recall) => texts::SAMPLE_RECALL.to_owned(),
        None => texts::SAMPLE_EMPTY.to_owned(),
    }
}
