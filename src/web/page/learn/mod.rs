//! How it works, in words, with a way to see each part for oneself.

use leptos::prelude::*;

use super::addressing;
use super::state::State;
use crate::web::i18n::T;
use crate::web::route::Route;

pub fn view(state: State, t: T) -> impl IntoView {
    let texts = &t.learn;
    let parts = [
        (texts.bill, texts.bill_about, Route::See, texts.bill_look),
        (texts.recompute, texts.recompute_about, Route::Step, texts.recompute_look),
        (texts.exact, texts.exact_about, Route::Lab, texts.exact_look),
        (texts.further, texts.further_about, Route::Reach, texts.further_look),
        (texts.own, texts.own_about, Route::Train, texts.own_look),
    ];
    view! {
        <section class="learn" aria-labelledby="learn-title">
            <h1 id="learn-title">{texts.title}</h1>
            <ol>
                {parts.map(|(title, about, route, look)| view! {
                    <li>
                        <h2>{title}</h2>
                        <p>{about}</p>
                        <p><a href=move || addressing::link(state, route)>{look}</a></p>
                    </li>
                }).collect_view()}
            </ol>
        </section>
    }
}
