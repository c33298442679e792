//! Where a head looks.

use leptos::prelude::*;

use super::T;
use super::heat::heat_map;
use super::state::State;
use crate::train::AttentionPattern;
use crate::web::protocol::ToWorker;
use crate::web::texts::fill;

/// Columns of the picture, at most: beyond that one stands for the strongest of several.
const MOST_COLUMNS: usize = 256;

pub fn view(state: State, t: T) -> impl IntoView {
    let sizes = move || {
        let of = |plan: crate::web::form::Plan| [plan.spec.config.num_hidden_layers, plan.spec.config.num_attention_heads];
        state.form.with(|form| form.plan().map_or([1, 1], of))
    };
    let number = move |id: &'static str, name: &str, which: usize| {
        let options = move || {
            let count = sizes()[which];
            (0..count)
                .map(|i| view! { <option value=i.to_string() prop:selected=state.head.get_untracked()[which] == i>{i}</option> })
                .collect_view()
        };
        view! {
            <div>
                <label class="field" for=id>{name.to_owned()}</label>
                <select id=id on:change=move |event| state.head.update(|head| head[which] = event_target_value(&event).parse().unwrap_or(0))>
                    {options}
                </select>
            </div>
        }
    };
    let look = move |_| {
        let [layer, head] = state.head.get_untracked();
        state.send(&ToWorker::Attention { layer, head });
    };
    view! {
        <section aria-labelledby="attention-title">
            <h2 id="attention-title">{t.training.attention}</h2>
            <p class="hint">{t.training.attention_about}</p>
            <div class="options">
                {number("attention-layer", t.training.attention_layer, 0)}
                {number("attention-head", t.training.attention_head, 1)}
                <button id="look" type="button" disabled=move || !state.has_run.get() on:click=look>{t.training.attention_look}</button>
            </div>
            {move || state.pattern.get().map(|(step, pattern)| picture(t, step, &pattern))}
        </section>
    }
}

fn picture(t: T, step: u64, pattern: &AttentionPattern) -> impl IntoView + use<> {
    let keys = pattern.keys.len();
    let bin = keys.div_ceil(MOST_COLUMNS).max(1);
    let strongest = |row: &Vec<f32>| row.chunks(bin).map(|keys| keys.iter().copied().fold(0.0, f32::max)).collect::<Vec<f32>>();
    let values: Vec<f32> = pattern.weights.iter().flat_map(strongest).collect();
    let last = pattern.weights.last().expect("a pattern has a query");
    let most = last.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(key, _)| key);
    let distance = keys - 1 - most;
    let percent = format!("{:.0}", 100.0 * last[most]);
    let values_of_text: [(&str, &dyn std::fmt::Display); 5] =
        [("step", &step), ("key", &(most + 1)), ("keys", &keys), ("percent", &percent), ("distance", &distance)];
    let label = fill(t.training.attention_text, &values_of_text);
    let shape = [pattern.weights.len() as u32, keys.div_ceil(bin) as u32];
    view! { <div id="pattern">{heat_map(shape, values, label)}</div> }
}
