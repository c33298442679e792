//! The last step in numbers.

use leptos::prelude::*;

use crate::train::{StepReport, Validation};
use crate::web::form::{Field, ObjectiveChoice, SourceChoice};
use crate::web::format::{digits, seconds, whole};
use crate::web::i18n::{T, fill};
use crate::web::metrics::EVAL_REWARD;
use crate::web::page::state::{DeviceState, RunState, Settings, StepState};
use crate::web::protocol::History;

/// Stands for a number that is not known yet.
const NONE: &str = "–";

fn last(run: RunState) -> Option<StepReport> {
    run.history.with(|history| history.steps.last().copied())
}

pub fn view(settings: Settings, step: StepState, run: RunState, device: DeviceState, t: T) -> impl IntoView {
    let of_step = move |of: fn(StepReport) -> String| move || last(run).map_or_else(|| NONE.to_owned(), of);
    let validation = move |of: fn(&Validation) -> Option<String>| {
        move || run.history.with(|history| history.validations.last().and_then(|(_, v)| of(v))).unwrap_or_else(|| NONE.to_owned())
    };
    let validation_loss = move || number(t.training.validation_loss, validation(|v| Some(format!("{:.4}", v.loss))));
    let perplexity = move || number(t.training.validation_perplexity, validation(|v| Some(digits(v.perplexity()))));
    let texts = &t.training;
    view! {
        <dl class="numbers">
            {number(texts.steps_done, move || steps_done(settings, run))}
            <div>
                <dt>{texts.loss}</dt>
                <dd id="loss" data-step=move || last(run).map_or_else(String::new, |r| r.step.to_string())
                    data-loss=move || last(run).map_or_else(String::new, |r| r.loss.to_string())>{of_step(|r| format!("{:.4}", r.loss))}</dd>
            </div>
            {move || match settings.form.with(|form| (form.objective, form.source)) {
                (ObjectiveChoice::Grpo, _) => view! {
                    {number("reward", move || of_last(run, |history| history.samples.last().map(|(_, of)| of.rewards.reward)))}
                    {number(EVAL_REWARD, validation(|v| v.accuracy.map(|reward| format!("{reward:.3}"))))}
                    {number("entropy", move || of_last(run, |history| history.samples.last().map(|(_, of)| of.completions.entropy)))}
                }
                .into_any(),
                (ObjectiveChoice::Dpo, _) => view! {
                    {validation_loss()}
                    {number("rewards/margins", move || of_last(run, |history| history.pairs.last().map(|(_, of_pairs)| of_pairs.margin)))}
                    {number("eval_rewards/accuracies", validation(accuracy))}
                }
                .into_any(),
                (_, SourceChoice::Task(_) | SourceChoice::Stories(_)) => view! {
                    {validation_loss()}
                    {perplexity()}
                    {number(t.training.accuracy, validation(accuracy))}
                }
                .into_any(),
                _ => view! {
                    {validation_loss()}
                    {perplexity()}
                }
                .into_any(),
            }}
            {number(texts.tokens_per_second, of_step(|r| digits(r.tokens_per_second)))}
            {number(texts.step_time, of_step(|r| seconds(r.seconds)))}
            {number(texts.flops, move || arithmetic(step, run, device, t))}
            {move || last(run).filter(|r| r.flops_left_out > 0.0).map(|_| left_out(run, t))}
            {number(texts.grad_norm, of_step(|r| digits(r.grad_norm)))}
            {number(texts.learning_rate, of_step(|r| format!("{:.1e}", r.learning_rate)))}
        </dl>
    }
}

fn number(name: &'static str, value: impl Fn() -> String + Send + 'static) -> impl IntoView {
    view! { <div><dt>{name}</dt><dd>{value}</dd></div> }
}

fn accuracy(validation: &Validation) -> Option<String> {
    validation.accuracy.map(|share| format!("{:.0} %", 100.0 * share))
}

/// A number of the last step that has it.
fn of_last(run: RunState, of: fn(&History) -> Option<f64>) -> String {
    run.history.with(of).map_or_else(|| NONE.to_owned(), |value| format!("{value:.3}"))
}

/// What of the last step nobody needed.
fn left_out(run: RunState, t: T) -> impl IntoView {
    let share = move || last(run).map_or_else(|| NONE.to_owned(), |report| format!("{:.0} %", 100.0 * report.flops_left_out));
    view! { <div tabindex="0" data-tip=t.training.left_out_about><dt>{t.training.left_out}</dt><dd id="left-out">{share}</dd></div> }
}

fn steps_done(settings: Settings, run: RunState) -> String {
    let done = last(run).map_or(0, |report| report.step);
    format!("{} / {}", whole(done), settings.form.with(|form| form.get(Field::Steps).to_owned()))
}

/// Operations a second of the last step, against what the device does at most.
fn arithmetic(step: StepState, run: RunState, device: DeviceState, t: T) -> String {
    let flops = step.plans.with(|plans| plans.as_ref().ok().map(|plans| plans.flops()));
    let (Some(flops), Some(report)) = (flops, last(run)) else { return NONE.to_owned() };
    let tokens = step.plans.with(|plans| plans.as_ref().map_or(1, |plans| plans.plan.shape.tokens()));
    // A step may be of several batches.
    let batches = (report.tokens / u64::from(tokens)).max(1);
    let gflops = digits((1.0 - report.flops_left_out) * (flops * batches) as f64 / report.seconds / 1e9);
    match device.ceilings.get() {
        Some(most) => fill(t.training.flops_of, &[("gflops", &gflops), ("peak", &digits(most.gflops))]),
        None => format!("{gflops} GFLOP/s"),
    }
}
