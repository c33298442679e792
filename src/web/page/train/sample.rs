//! What the model writes, with the probability that it gave to every character.

use leptos::prelude::*;

use crate::web::i18n::{T, fill};
use crate::web::page::state::RunState;
use crate::web::protocol::Sample;

pub fn view(run: RunState, t: T) -> impl IntoView {
    view! {
        <section aria-labelledby="sample-title">
            <h2 id="sample-title">{t.training.sample}</h2>
            {move || run.sample.get().map(|(step, sample)| written(t, &sample, step.to_string()))}
        </section>
    }
}

/// The stronger the colour, the surer the model was.
fn written(t: T, sample: &Sample, step: String) -> impl IntoView + use<> {
    let character = |(text, probability): &(String, f32)| {
        let percent = format!("{:.0}", 100.0 * probability);
        let tip = fill(t.training.probability, &[("text", text), ("percent", &percent)]);
        view! { <span style:--sure=format!("{percent}%") data-tip=tip>{text.clone()}</span> }
    };
    let plain: String = sample.written.iter().map(|(text, _)| text.as_str()).collect();
    view! {
        <pre id="sample" tabindex="0" role="group" aria-labelledby="sample-title"
            data-tip-of="[data-tip]" data-tip-keys data-step=step>
            <span class="unseen">{format!("{}{plain}", sample.prompt)}</span>
            <span class="prompt" aria-hidden="true">{sample.prompt.clone()}</span>
            <span class="written" aria-hidden="true">{sample.written.iter().map(character).collect_view()}</span>
        </pre>
    }
}
