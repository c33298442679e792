//! The step, drawn: the grid of layers × chunks at a moment, slow motion, memory through the step, every byte, the kernel at work.

pub mod describe;
mod files;
mod film;
pub mod grid;
mod inspector;
mod kernel;
mod planned_bytes;
mod stepping;
mod timeline;

use leptos::prelude::*;

use super::state::{Settings, State, StepState};
use crate::web::i18n::T;

pub fn view(state: State, t: T) -> impl IntoView {
    let State { settings, step, run, device, .. } = state;
    let states = grid::states(step);
    let picture = move || {
        step.plans.with(|plans| match plans {
            Ok(plans) => view! {
                {grid::view(step, t, plans, states, Some(Callback::new(move |event| stepping::key(state, &event))))}
                <p class="hint" id="keys">{t.step_grid.keys}</p>
                {film::view(step, t)}
                {timeline::view(settings, step, t, plans)}
                {files::view(step, t, plans.clone())}
            }
            .into_any(),
            Err(_) => view! { <p class="note">{t.failures.no_plan}</p> }.into_any(),
        })
    };
    view! {
        <section class="stage" aria-labelledby="stage-title">
            <h2 id="stage-title">{t.step_grid.title}</h2>
            <p class="hint">{t.step_grid.about}</p>
            {grid::legend(t)}
            {picture}
            {move || planned_bytes::view(step, run, device, t)}
            {stepping::view(state, t)}
            <details><summary>{t.step_grid.as_table}</summary>{move || grid::table(step, t, states)}</details>
        </section>
        {inspector::view(state, t)}
        {kernel::view(state, t)}
    }
}

/// The grid and the timeline alone, for a frame in another page.
pub fn embedded(settings: Settings, step: StepState, t: T) -> impl IntoView {
    let states = grid::states(step);
    move || {
        step.plans.with(|plans| match plans {
            Ok(plans) => view! {
                <section class="stage" aria-label=t.step_grid.title>
                    {grid::legend(t)}
                    {grid::view(step, t, plans, states, Some(Callback::new(|_| ())))}
                    {timeline::view(settings, step, t, plans)}
                    {film::view(step, t)}
                </section>
            }
            .into_any(),
            Err(_) => view! { <p class="note">{t.failures.no_plan}</p> }.into_any(),
        })
    }
}
