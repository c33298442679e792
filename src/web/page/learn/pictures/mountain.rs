//! The memory of a standard step, and the parts at the moment that the slider stands at.

use leptos::prelude::*;

use super::controls::slider;
use crate::step::StrategyKind;
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::lesson::{TOKENS, Words};
use crate::web::page::components::axes::percent;
use crate::web::page::state::LessonState;
use crate::web::see::{mountains, single_picture};

/// Places of the slider.
const PLACES: usize = 100;

pub fn view(lesson: LessonState, t: T, words: &'static Words) -> impl IntoView {
    let mountains = StoredValue::new(mountains(TOKENS));
    let picture = mountains.with_value(|mountains| single_picture(t, mountains, StrategyKind::Standard));
    let now = move || {
        let share = lesson.moment.get();
        mountains.with_value(|mountains| {
            let column = mountains.all[StrategyKind::Standard as usize].at(share);
            fill(t.see.at, &[("pass", &t.pass(column.pass)), ("bytes", &bytes(column.parts.iter().sum()))])
        })
    };
    let place = move || (lesson.moment.get() * PLACES as f64).round() as usize;
    view! {
        <div class="see one-mountain">
            <div class="see-picture">
                <div inner_html=picture></div>
                <div class="lesson-moment" aria-hidden="true"><span style:left=move || percent(100.0 * lesson.moment.get())></span></div>
            </div>
        </div>
        {slider(words, PLACES, place, now, move |place| lesson.moment.set(place as f64 / PLACES as f64))}
    }
}
