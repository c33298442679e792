//! The attention map of a head.

use std::sync::Arc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent, PointerEvent};

use crate::model::ModelSpec;
use crate::web::axis::Scale;
use crate::web::charts::{AttentionMap, AttentionWords};
use crate::web::format::{digits, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::browser;
use crate::web::page::components::axes::percent;
use crate::web::page::components::heat::canvas;
use crate::web::page::state::{RunState, Settings};
use crate::web::page::worker_client::WorkerClient;
use crate::web::protocol::ToWorker;

/// How far Page up, Page down, Home and End go, in cells.
const FAR: isize = 16;

pub fn view(settings: Settings, run: RunState, trainer: WorkerClient<ToWorker>, t: T) -> impl IntoView {
    let sizes = move || {
        let of = |spec: ModelSpec| [spec.config.num_hidden_layers, spec.config.num_attention_heads];
        settings.form.with(|form| form.spec().map_or([1, 1], of))
    };
    let number = move |id: &'static str, name: &str, which: usize| {
        let options = move || {
            let count = sizes()[which];
            (0..count)
                .map(|i| view! { <option value=i.to_string() prop:selected=run.head.get_untracked()[which] == i>{i}</option> })
                .collect_view()
        };
        view! {
            <div>
                <label class="field" for=id>{name.to_owned()}</label>
                <select id=id on:change=move |event| run.head.update(|head| head[which] = event_target_value(&event).parse().unwrap_or(0))>
                    {options}
                </select>
            </div>
        }
    };
    let look = move |_| {
        let [layer, head] = run.head.get_untracked();
        trainer.send(&ToWorker::Attention { layer, head });
    };
    view! {
        <section aria-labelledby="attention-title">
            <h2 id="attention-title">{t.training.attention}</h2>
            <p class="hint">{t.training.attention_about}</p>
            <div class="options">
                {number("attention-layer", t.training.attention_layer, 0)}
                {number("attention-head", t.training.attention_head, 1)}
                <button id="look" type="button" on:click=look>{t.training.attention_look}</button>
            </div>
            {move || run.pattern.get().map(|map| picture(t, &map))}
        </section>
    }
}

/// The cells, their axes, and what the cell says that is pointed at or was gone to by keys.
fn picture(t: T, map: &Arc<AttentionMap>) -> impl IntoView + use<> {
    let cell: RwSignal<Option<[usize; 2]>> = RwSignal::new(None);
    let side = map.side() as u32;
    let label = summary(t, map);
    let point = {
        let map = map.clone();
        move |event: PointerEvent| {
            let target = event.current_target().and_then(|target| target.dyn_into::<Element>().ok());
            let Some(bounds) = target.map(|target| target.get_bounding_client_rect()) else { return };
            let (x, y) = (f64::from(event.client_x()) - bounds.left(), f64::from(event.client_y()) - bounds.top());
            cell.set(Some(map.at([y / bounds.height().max(1.0), x / bounds.width().max(1.0)])));
        }
    };
    let key = {
        let map = map.clone();
        move |event: KeyboardEvent| {
            let Some(by) = step_of(&event.key()) else { return };
            event.prevent_default();
            let from = cell.get_untracked().unwrap_or_else(|| map.strongest_of_last());
            let moved = |at: usize, by: isize| at.saturating_add_signed(by).min(map.side() - 1);
            cell.set(Some([moved(from[0], by[0]), moved(from[1], by[1])]));
        }
    };
    let said = {
        let map = map.clone();
        move || cell.get().map(|at| sentence(t, &map, at))
    };
    let tip = {
        let (map, said) = (map.clone(), said.clone());
        move || Some(tip(map.side(), cell.get()?, said()?))
    };
    let give_svg = {
        let map = map.clone();
        move |_| {
            let about = summary(t, &map);
            let words = AttentionWords {
                title: t.training.attention,
                about: &about,
                axes: [t.training.attention_columns, t.training.attention_rows],
                cells: &browser::canvas_picture("attention-cells"),
                colour: &|name| browser::css_colour(name),
            };
            browser::download("attention.svg", "image/svg+xml", map.file(&words).as_bytes());
        }
    };
    view! {
        <figure id="pattern" class="attention-map" data-side=side>
            <p class="axis-name rows" aria-hidden="true">{t.training.attention_rows}</p>
            <div class="cells-square" id="attention-cells" role="img" tabindex="0" aria-label=label.clone() aria-describedby="attention-keys"
                on:pointermove=point.clone() on:pointerdown=point on:pointerleave=move |_| cell.set(None) on:blur=move |_| cell.set(None)
                on:keydown=key>
                {canvas([side, side], map.colours())}
                {positions(map, true)}
                {positions(map, false)}
                {tip}
            </div>
            <p class="axis-name" aria-hidden="true">{t.training.attention_columns}</p>
            {scale(map.full_colour())}
            <figcaption>{label}</figcaption>
            <div class="buttons exports"><button id="attention-svg" type="button" on:click=give_svg>{t.step_grid.export_svg}</button></div>
            <p class="unseen" role="status">{said}</p>
            <p class="hint" id="attention-keys">{keys_hint(t, map)}</p>
        </figure>
    }
}

/// The cell's outline, and beside it what it says.
fn tip(side: usize, [row, column]: [usize; 2], said: String) -> impl IntoView {
    let place = |at: usize| 100.0 * at as f64 / side as f64;
    let size = percent(100.0 / side as f64);
    let is_left = column * 2 > side;
    view! {
        <span class="cell-outline" class:from-right=is_left aria-hidden="true" style:left=percent(place(column)) style:top=percent(place(row))
            style:width=size.clone() style:height=size><span class="tip">{said}</span></span>
    }
}

/// Rows and columns by which a key moves.
fn step_of(key: &str) -> Option<[isize; 2]> {
    Some(match key {
        "ArrowUp" => [-1, 0],
        "ArrowDown" => [1, 0],
        "ArrowLeft" => [0, -1],
        "ArrowRight" => [0, 1],
        "PageUp" => [-FAR, 0],
        "PageDown" => [FAR, 0],
        "Home" => [0, -FAR],
        "End" => [0, FAR],
        _ => return None,
    })
}

/// The positions along an axis, each with the text of its token.
fn positions(map: &AttentionMap, is_rows: bool) -> impl IntoView + use<> {
    let tokens = map.tokens();
    let tick = |&position: &f64| {
        let place = percent(100.0 * (position - 0.5) / f64::from(tokens));
        let (number, text) = (whole(position as u64), map.text(position as u32));
        let (class, top, left) = if is_rows { ("tick", Some(place), None) } else { ("tick-x", None, Some(place)) };
        view! { <span class=class style:top=top style:left=left aria-hidden="true">{number}<small>{text}</small></span> }
    };
    Scale::counts(1, u64::from(tokens)).ticks().iter().map(tick).collect_view()
}

/// The colours, with the weights for which they stand.
fn scale(full: f32) -> impl IntoView {
    // The opacity is the root of the weight, so half of it stands for a quarter.
    let [none, quarter, full] = [0.0, 0.25, 1.0].map(|share| share_text(share * full));
    view! {
        <div class="colour-scale">
            <i aria-hidden="true"></i>
            <div><span>{none}</span><span>{quarter}</span><span>{format!("≥ {full}")}</span></div>
        </div>
    }
}

fn share_text(weight: f32) -> String {
    if weight == 0.0 { "0 %".to_owned() } else { format!("{} %", digits(100.0 * f64::from(weight))) }
}

fn sentence(t: T, map: &AttentionMap, at: [usize; 2]) -> String {
    let cell = map.cell(at);
    let keys = match cell.keys {
        [first, last] if first == last => format!("{} “{}”", whole(u64::from(first)), map.text(first)),
        [first, last] => format!("{}–{}", whole(u64::from(first)), whole(u64::from(last))),
    };
    let query = format!("{} “{}”", whole(u64::from(cell.query)), map.text(cell.query));
    fill(t.training.attention_cell, &[("query", &query), ("key", &keys), ("weight", &share_text(cell.weight))])
}

fn summary(t: T, map: &AttentionMap) -> String {
    let cell = map.cell(map.strongest_of_last());
    let percent = digits(100.0 * f64::from(cell.weight));
    let distance = cell.query - cell.keys[1];
    let values: [(&str, &dyn std::fmt::Display); 5] =
        [("step", &map.step), ("key", &cell.keys[1]), ("keys", &map.tokens()), ("percent", &percent), ("distance", &distance)];
    fill(t.training.attention_text, &values)
}

fn keys_hint(t: T, map: &AttentionMap) -> String {
    let several = (map.pattern.stride > 1).then(|| fill(t.training.attention_stride, &[("count", &map.pattern.stride)]));
    [Some(t.training.attention_keys.to_owned()), several].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
