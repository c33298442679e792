//! See: one sentence, the three mountains of memory under a budget, and a slider for the length. It needs no GPU.

mod moments;

use std::sync::Arc;

use leptos::prelude::*;

use super::browser;
use crate::web::axis::tokens;
use crate::web::i18n::T;
use crate::web::memory_curve::{place_of, tokens_at};
use crate::web::see::{LONGEST, Proof, SHORTEST, caption, file, length, mountains, peaks, picture, proof, spoken};
use moments::Shown;

/// Places of the slider from one to the next.
const STEP: u32 = 2;

/// Where the view leads.
#[derive(Clone, Copy)]
pub struct Links {
    /// To the proof that all strategies give the same bits.
    pub lab: Signal<String>,
    pub learn: Signal<String>,
    pub train: Signal<String>,
}

/// The whole view.
pub fn view(t: T, place: RwSignal<u32>, links: Links) -> impl IntoView {
    let shown = shown(place);
    view! {
        <div class="see">
            <h1>{t.see.sentence}</h1>
            {drawn(t, shown, links.lab, false)}
            {slider(t, place, shown)}
            <div class="see-foot">
                {legend(t, shown)}
                <p class="see-actions">
                    <a id="to-learn" class="button" href=links.learn>{t.see.explain}</a>
                    <a id="to-train" class="button primary" href=links.train>{t.see.train}</a>
                </p>
            </div>
        </div>
    }
}

/// The picture alone, for a frame in another page. Its link leaves the frame.
pub fn embedded(t: T, place: RwSignal<u32>) -> impl IntoView {
    let shown = shown(place);
    view! {
        <div class="see" role="main">
            {drawn(t, shown, proof().into(), true)}
            {slider(t, place, shown)}
            <div class="see-foot">{legend(t, shown)}</div>
        </div>
    }
}

fn shown(place: RwSignal<u32>) -> Shown {
    Memo::new(move |_| Arc::new(mountains(tokens_at(place.get()))))
}

/// The peaks and the picture, by the functions that also write what stands in the page's HTML.
fn drawn(t: T, shown: Shown, lab: Signal<String>, is_framed: bool) -> impl IntoView {
    let peaks = move || lab.with(|address| shown.with(|mountains| peaks(t, mountains, &Proof { address, is_framed })));
    view! {
        <ol class="peaks" inner_html=peaks></ol>
        <div class="see-picture">
            <div inner_html=move || shown.with(|mountains| picture(t, mountains))></div>
            {moments::view(t, shown)}
        </div>
    }
}

fn slider(t: T, place: RwSignal<u32>, shown: Shown) -> impl IntoView {
    let go = move |value: String| place.set(value.parse().unwrap_or(place.get_untracked()));
    let powers = (0..).map(|doublings| SHORTEST << doublings).take_while(|&length| length <= LONGEST);
    view! {
        <div class="see-length">
            <label for="see-length">{t.see.length}</label>
            <div>
                <input id="see-length" type="range" min=place_of(SHORTEST) max=place_of(LONGEST) step=STEP autocomplete="off"
                    aria-valuetext=move || shown.with(|mountains| spoken(t, mountains)) prop:value=move || place.get().to_string() on:input=move |event| go(event_target_value(&event))/>
                <p class="scale" aria-hidden="true">{powers.map(|length| view! { <span>{tokens(f64::from(length))}</span> }).collect_view()}</p>
            </div>
            <output for="see-length" aria-live="off">{move || length(t, tokens_at(place.get()))}</output>
        </div>
    }
}

/// What the picture is of, what its colours are, and the picture as a file.
fn legend(t: T, shown: Shown) -> impl IntoView {
    view! {
        <div class="see-legend">
            <p>{move || shown.with(|mountains| caption(t, mountains))} {save(t, shown)}</p>
            <ul>
                <li><i class="of-model"></i>{t.see.model}</li>
                <li><i class="of-growing"></i>{t.see.grows}</li>
            </ul>
        </div>
    }
}

fn save(t: T, shown: Shown) -> impl IntoView {
    let save = move |_| {
        let (svg, tokens) = shown.with_untracked(|mountains| (file(t, mountains, &|name| browser::css_colour(name)), mountains.tokens));
        browser::download(&format!("streambp-memory-{tokens}.svg"), "image/svg+xml", svg.as_bytes());
    };
    view! { <button id="see-svg" type="button" class="quiet" on:click=save>{t.see.save}</button> }
}
