//! The time of a step under every strategy: on this device, or as recorded.

use leptos::prelude::*;

use super::controls::{measure, name};
use crate::step::StrategyKind;
use crate::web::format::seconds;
use crate::web::i18n::T;
use crate::web::lesson::Words;
use crate::web::page::components::axes::percent;
use crate::web::page::lab::compare;
use crate::web::page::learn::lesson::Lesson;

pub fn view(lesson: Lesson, t: T, words: &'static Words) -> impl IntoView {
    let bars = move || {
        // The times would give the answer away.
        let times = lesson.facts.with(|facts| facts.times.as_ref().map(|(times, _)| *times)).filter(|_| lesson.lesson.is_revealed());
        let most = times.map_or(1.0, |times| times.into_iter().fold(0.0, f64::max));
        StrategyKind::ALL.map(|kind| {
            let time = times.map(|times| times[kind as usize]);
            let width = time.map_or_else(|| percent(0.0), |time| percent(100.0 * time / most));
            view! {
                <li data-strategy=kind.name()>
                    <span>{name(t, kind)}</span>
                    <span class="track"><i style:width=width></i></span>
                    <b>{time.map_or_else(|| "?".to_owned(), seconds)}</b>
                </li>
            }
        })
    };
    let control = measure(
        lesson,
        t,
        words,
        compare::is_measuring,
        |state| state.lab.compared.with(|compared| compared.len() == StrategyKind::ALL.len()),
        compare::time_all,
    );
    view! {
        <ol class="clocks">{bars}</ol>
        {control}
    }
}
