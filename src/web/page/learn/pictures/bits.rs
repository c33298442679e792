//! The gradients of every strategy, compared bit by bit: on this device, or as recorded.

use std::sync::Arc;

use leptos::prelude::*;

use super::controls::measure;
use crate::train::{RunReport, VerifyReport};
use crate::web::format::bytes;
use crate::web::i18n::T;
use crate::web::lesson::Words;
use crate::web::page::lab::proof;
use crate::web::page::learn::lesson::Lesson;

pub fn view(lesson: Lesson, t: T, words: &'static Words) -> impl IntoView {
    let report = move || -> Option<Arc<VerifyReport>> {
        let here = lesson.device.and_then(|state| state.lab.proof.get().filter(|_| state.lab.is_proved(state.settings)));
        here.map(Arc::new).or_else(|| lesson.lesson.recorded.get().map(|recorded| Arc::new(recorded.proof.clone())))
    };
    let control = measure(
        lesson,
        t,
        words,
        |state| state.lab.proving.with(Option::is_some),
        |state| state.lab.proof.with(Option::is_some) && state.lab.is_proved(state.settings),
        proof::prove,
    );
    view! {
        {move || report().map(|report| table(t, &report))}
        {control}
    }
}

fn table(t: T, report: &VerifyReport) -> impl IntoView + use<> {
    let row = |(index, run): (usize, &RunReport)| {
        let bits = match run.same_bits {
            _ if index == 0 => t.compare.first,
            true => t.compare.same,
            false => t.compare.loss_differs,
        };
        view! {
            <tr>
                <th scope="row">{proof::run_name(t, run)}</th><td class:different=!run.same_bits>{bits}</td>
                <td>{format!("{:.7}", run.loss)}</td><td>{bytes(run.peak_bytes)}</td>
            </tr>
        }
    };
    let columns = [t.compare.run, t.compare.bits, t.compare.loss, t.compare.bytes];
    view! {
        <table class="lesson-table" tabindex="0" data-same-bits=report.same_bits.to_string()>
            <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
            <tbody>{report.runs.iter().enumerate().map(row).collect_view()}</tbody>
        </table>
    }
}
