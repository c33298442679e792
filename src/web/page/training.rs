//! How the run is doing: numbers, curves, what the model writes, where it looks, earlier runs.

use leptos::prelude::*;

use super::state::State;
use super::{T, attention, curves, runs, sample};
use crate::train::{StepReport, Validation};
use crate::web::form::SourceChoice;
use crate::web::format::{digits, seconds, whole};
use crate::web::i18n::fill;

/// Stands for a number that is not known yet.
const NONE: &str = "–";

/// What has nothing to show yet does not stand there.
pub fn view(state: State, t: T) -> impl IntoView {
    let has_run = Memo::new(move |_| state.has_run.get());
    let has_steps = Memo::new(move |_| state.history.with(|history| !history.steps.is_empty()));
    let has_sample = Memo::new(move |_| state.sample.with(Option::is_some));
    let has_past = Memo::new(move |_| state.past.with(|past| !past.is_empty()));
    view! {
        {move || has_steps.get().then(|| numbers(state, t))}
        {move || (has_steps.get() || has_past.get()).then(|| curves::view(state, t))}
        {move || has_sample.get().then(|| sample::view(state, t))}
        {move || has_run.get().then(|| attention::view(state, t))}
        {move || has_past.get().then(|| runs::view(state, t))}
    }
}

fn last(state: State) -> Option<StepReport> {
    state.history.with(|history| history.steps.last().copied())
}

/// The last step in numbers.
fn numbers(state: State, t: T) -> impl IntoView {
    let step = move |of: fn(StepReport) -> String| move || last(state).map_or_else(|| NONE.to_owned(), of);
    let validation = move |of: fn(&Validation) -> Option<String>| {
        move || state.history.with(|history| history.validations.last().and_then(|(_, v)| of(v))).unwrap_or_else(|| NONE.to_owned())
    };
    let texts = &t.training;
    view! {
        <dl class="numbers">
            {number(texts.steps_done, move || steps_done(state))}
            <div>
                <dt>{texts.loss}</dt>
                <dd id="loss" data-step=move || last(state).map_or_else(String::new, |r| r.step.to_string())
                    data-loss=move || last(state).map_or_else(String::new, |r| r.loss.to_string())>{step(|r| format!("{:.4}", r.loss))}</dd>
            </div>
            {number(texts.validation_loss, validation(|v| Some(format!("{:.4}", v.loss))))}
            {number(texts.validation_perplexity, validation(|v| Some(digits(v.perplexity()))))}
            {move || matches!(state.form.with(|form| form.source), SourceChoice::Task(_)).then(|| {
                number(t.training.accuracy, validation(|v| v.accuracy.map(|share| format!("{:.0} %", 100.0 * share))))
            })}
            {number(texts.tokens_per_second, step(|r| digits(r.tokens_per_second)))}
            {number(texts.step_time, step(|r| seconds(r.seconds)))}
            {number(texts.flops, move || arithmetic(state, t))}
            {number(texts.grad_norm, step(|r| digits(r.grad_norm)))}
            {number(texts.learning_rate, step(|r| format!("{:.1e}", r.learning_rate)))}
        </dl>
    }
}

fn number(name: &'static str, value: impl Fn() -> String + Send + 'static) -> impl IntoView {
    view! { <div><dt>{name}</dt><dd>{value}</dd></div> }
}

fn steps_done(state: State) -> String {
    let done = last(state).map_or(0, |report| report.step);
    format!("{} / {}", whole(done), state.form.with(|form| form.get(crate::web::form::Field::Steps).to_owned()))
}

/// Operations a second of the last step, against what the device does at most.
fn arithmetic(state: State, t: T) -> String {
    let flops = state.plans.with(|plans| plans.as_ref().ok().map(|plans| plans.flops()));
    let (Some(flops), Some(report)) = (flops, last(state)) else { return NONE.to_owned() };
    let tokens = state.plans.with(|plans| plans.as_ref().map_or(1, |plans| plans.plan.shape.tokens()));
    // A step may be of several batches.
    let batches = (report.tokens / u64::from(tokens)).max(1);
    let gflops = digits((flops * batches) as f64 / report.seconds / 1e9);
    match state.peak_gflops.get() {
        Some(peak) => fill(t.training.flops_of, &[("gflops", &gflops), ("peak", &digits(peak))]),
        None => format!("{gflops} GFLOP/s"),
    }
}
