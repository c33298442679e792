//! The bytes that grow with the sequence, as bars over its length.

use leptos::prelude::*;

use super::controls::slider;
use crate::web::axis::tokens;
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::lesson::{Words, growth_curve};
use crate::web::page::components::axes::percent;
use crate::web::page::state::LessonState;

pub fn view(lesson: LessonState, t: T, words: &'static Words) -> impl IntoView {
    let curve = StoredValue::new(growth_curve());
    let most = curve.with_value(|curve| curve.iter().map(|(_, bytes)| *bytes).max().unwrap_or(1));
    let bar = move |(at, (length, size)): (usize, (u32, u64))| {
        let is_now = move || lesson.length.get() == at;
        let is_shown = move || lesson.length.get() >= at;
        view! {
            <li class:now=is_now>
                <i style:height=move || if is_shown() { percent(88.0 * size as f64 / most as f64) } else { percent(0.0) }>
                    <b>{move || is_shown().then(|| bytes(size))}</b>
                </i>
                <span>{tokens(f64::from(length))}</span>
            </li>
        }
    };
    let now = move || {
        let (length, size) = curve.with_value(|curve| curve[lesson.length.get()]);
        format!("{}: {}", fill(t.see.tokens, &[("tokens", &length)]), bytes(size))
    };
    let last = curve.with_value(Vec::len) - 1;
    view! {
        <ol class="growth" role="img" aria-label=now>{curve.get_value().into_iter().enumerate().map(bar).collect_view()}</ol>
        {slider(words, last, move || lesson.length.get(), now, move |place| lesson.length.set(place))}
    }
}
