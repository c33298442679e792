//! What the model writes, with the probability that it gave to every character.

use leptos::prelude::*;

use super::T;
use super::state::State;
use crate::web::form::SourceChoice;
use crate::web::i18n::fill;
use crate::web::protocol::Sample;

pub fn view(state: State, t: T) -> impl IntoView {
    let step = move || state.sample.with(|sample| sample.as_ref().map_or_else(String::new, |(step, _)| step.to_string()));
    view! {
        <section aria-labelledby="sample-title">
            <h2 id="sample-title">{t.training.sample}</h2>
            {move || match state.sample.get() {
                Some((_, sample)) => written(t, &sample, step).into_any(),
                None => {
                    let is_task = matches!(state.form.with(|form| form.source), SourceChoice::Task(_));
                    let text = if is_task { t.training.sample_task } else { t.training.sample_empty };
                    view! { <p class="hint">{text}</p> }.into_any()
                }
            }}
        </section>
    }
}

/// The stronger the colour, the surer the model was.
fn written(t: T, sample: &Sample, step: impl Fn() -> String + Send + 'static) -> impl IntoView {
    let character = |(text, probability): &(String, f32)| {
        let percent = format!("{:.0}", 100.0 * probability);
        let title = fill(t.training.probability, &[("text", text), ("percent", &percent)]);
        view! { <span style:--sure=format!("{percent}%") title=title>{text.clone()}</span> }
    };
    let plain: String = sample.written.iter().map(|(text, _)| text.as_str()).collect();
    view! {
        <pre id="sample" tabindex="0" role="group" aria-labelledby="sample-title" data-step=step>
            <span class="unseen">{format!("{}{plain}", sample.prompt)}</span>
            <span class="prompt" aria-hidden="true">{sample.prompt.clone()}</span>
            <span class="written" aria-hidden="true">{sample.written.iter().map(character).collect_view()}</span>
        </pre>
    }
}
