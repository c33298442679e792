//! Rewards: how they rise, the completions that are being sampled, and the group that the last step has learned from.

use leptos::prelude::*;

use super::curves;
use crate::train::RoundProgress;
use crate::web::charts::visible;
use crate::web::form::{Form, ObjectiveChoice};
use crate::web::format::{signed, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::state::{RunState, Settings};
use crate::web::protocol::{CompletionView, GroupView};

/// Nothing as long as the run learns from no completions.
pub fn view(settings: Settings, run: RunState, t: T) -> impl IntoView {
    let has_rewards = Memo::new(move |_| run.history.with(|history| !history.samples.is_empty()));
    let has_group = Memo::new(move |_| run.group.with(Option::is_some) || has_rewards.get());
    let is_shown = Memo::new(move |_| {
        let learns = settings.form.with(|form| form.objective == ObjectiveChoice::Grpo);
        learns && (has_group.get() || run.sampling.with(Option::is_some))
    });
    move || {
        is_shown.get().then(|| {
            view! {
                <section id="completions" aria-labelledby="completions-title" data-rewards=move || rewards_so_far(run)>
                    <h2 id="completions-title">{t.training.completions}</h2>
                    {move || has_rewards.get().then(|| curves::of_completions(run, t))}
                    <p class="hint" id="sampling">{move || run.sampling.with(|sampling| sampling.as_ref().map(|(progress, _)| sampled(t, *progress)))}</p>
                    {move || run.sampling.with(|sampling| sampling.as_ref().map(|(_, texts)| being_sampled(texts)))}
                    {move || run.group.get().map(|(step, group)| learned(t, step, &group))}
                </section>
            }
        })
    }
}

/// A button that sets up and starts a run that learns from rewards.
pub fn button(t: T, is_busy: impl Fn() -> bool + Send + 'static, start: impl Fn(Form) + 'static) -> impl IntoView {
    view! {
        <p class="hint" id="learn-from-rewards-about">{t.training.learn_from_rewards_about}</p>
        <div class="buttons">
            <button id="learn-from-rewards" type="button" aria-describedby="learn-from-rewards-about" disabled=is_busy
                on:click=move |_| start(Form::learn_from_rewards())>{t.training.learn_from_rewards}</button>
        </div>
    }
}

fn rewards_so_far(run: RunState) -> String {
    let rewards = run.history.with(|history| history.samples.iter().map(|(_, of)| of.rewards.reward.to_string()).collect::<Vec<_>>());
    format!("[{}]", rewards.join(","))
}

fn sampled(t: T, RoundProgress { prompt, prompts, tokens }: RoundProgress) -> String {
    fill(t.training.sampling, &[("prompt", &(prompt + 1)), ("prompts", &prompts), ("tokens", &whole(tokens.into()))])
}

/// The texts so far, which change too soon to be read out.
fn being_sampled(texts: &[String]) -> impl IntoView + use<> {
    let text = |text: &String| view! { <li><code>{text.chars().map(visible).collect::<String>()}</code></li> };
    view! { <ul class="completions" aria-hidden="true">{texts.iter().map(text).collect_view()}</ul> }
}

fn learned(t: T, step: u64, group: &GroupView) -> impl IntoView + use<> {
    let (title, about) = match group.is_sampled {
        true => (t.training.group, t.training.group_about),
        false => (t.training.answer, t.training.answer_about),
    };
    let weights = || group.completions.iter().flat_map(|completion| &completion.pieces).map(|(_, weight)| weight.abs());
    let largest = weights().fold(0.0, f32::max);
    let completions = group.completions.iter().map(|completion| view_completion(t, group.is_sampled, completion, largest)).collect_view();
    let prompt: String = group.prompt.clone();
    view! {
        <h3 id="group-title">{fill(title, &[("step", &whole(step))])}</h3>
        <p class="hint">{about}</p>
        <pre class="pair-prompt" tabindex="0" aria-label=t.training.prompt><span>{prompt}</span></pre>
        <ol class="completions" id="group" aria-labelledby="group-title" data-step=step data-sampled=group.is_sampled.to_string()
            data-tip-of="[data-tip]" data-tip-keys tabindex="0">
            {completions}
        </ol>
    }
}

/// A completion, each of its pieces in a colour that says which way the gradient moves it, and how far.
fn view_completion(t: T, is_sampled: bool, completion: &CompletionView, largest: f32) -> impl IntoView + use<> {
    let CompletionView { pieces, is_ended, reward, advantage } = completion;
    let piece = |(text, weight): &(String, f32)| {
        let shown: String = text.chars().map(visible).collect();
        let tip = fill(t.training.weighed, &[("text", &shown), ("weight", &signed(*weight, 4))]);
        let colour = if *weight < 0.0 { "var(--validation)" } else { "var(--training)" };
        let share = format!("{:.0}%", if largest > 0.0 { 100.0 * (weight.abs() / largest).sqrt() } else { 0.0 });
        view! { <span style:--tint=colour style:--share=share class:down={*weight < 0.0} data-weight=weight.to_string() data-tip=tip>{shown}</span> }
    };
    let plain: String = pieces.iter().flat_map(|(text, _)| text.chars()).map(visible).collect();
    let numbers = is_sampled.then(|| {
        let values: [(&str, &dyn std::fmt::Display); 2] =
            [("reward", &format!("{reward:.2}").replace('-', "−")), ("advantage", &signed(*advantage, 2))];
        fill(t.training.reward_of, &values)
    });
    let unended = (!is_ended).then_some(t.training.unended);
    view! {
        <li data-reward=reward.to_string() data-advantage=advantage.to_string()>
            <code>
                <span class="unseen">{plain}</span>
                <span class="scored" aria-hidden="true">{pieces.iter().map(piece).collect_view()}</span>
            </code>
            <small>{numbers}{unended.map(|text| format!(" · {text}"))}</small>
        </li>
    }
}
