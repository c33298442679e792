//! A run: its controls, how it is doing, what it learned.

mod attention;
mod completions;
mod controls;
mod curves;
mod distances;
mod numbers;
mod pairs;
mod positions;
mod runs;
mod sample;
mod saved_runs;
mod saving;

use leptos::prelude::*;

use super::state::State;
use crate::web::i18n::T;

/// What has nothing to show yet does not stand there.
pub fn view(state: State, t: T) -> impl IntoView {
    let State { settings, step, run, device, trainer, .. } = state;
    let has_run = Memo::new(move |_| run.has_run.get());
    let has_steps = Memo::new(move |_| run.history.with(|history| !history.steps.is_empty()));
    let has_sample = Memo::new(move |_| run.sample.with(Option::is_some));
    let has_past = Memo::new(move |_| run.past.with(|past| !past.is_empty()));
    view! {
        {controls::view(state, t)}
        {move || has_steps.get().then(|| numbers::view(settings, step, run, device, t))}
        {move || (has_steps.get() || has_past.get()).then(|| curves::view(settings, run, t))}
        {pairs::view(run, t)}
        {completions::view(settings, run, t)}
        {distances::view(run, t)}
        {move || has_sample.get().then(|| sample::view(run, t))}
        {move || has_run.get().then(|| attention::view(settings, run, trainer, t))}
        {move || has_past.get().then(|| runs::view(settings, run, t))}
        {saving::view(state, t)}
    }
}
