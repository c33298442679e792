//! How far each strategy goes in a budget: where its line crosses it.

use std::sync::Arc;

use leptos::prelude::*;

use super::controls::slider;
use crate::gpu::DeviceClass;
use crate::step::StrategyKind;
use crate::train::ChunkLength;
use crate::web::format::bytes;
use crate::web::i18n::T;
use crate::web::lesson::{BUDGET, Words};
use crate::web::memory_curve::{Chart, Line};
use crate::web::page::reach::drawn::Drawn;
use crate::web::page::reach::plot;
use crate::web::page::state::LessonState;
use crate::web::published::Trainable;
use crate::web::question::Question;

/// The longest sequence on the chart.
const END: u32 = 1 << 16;
/// Budgets in MiB, by the places of the slider.
const BUDGETS: [u64; 6] = [16, 32, 64, 128, 256, 512];

pub fn view(lesson: LessonState, t: T, words: &'static Words) -> impl IntoView {
    let plan = lesson.settings.plan.get_untracked().expect("the lesson's form makes sense");
    let question = Question {
        objective: plan.objective,
        spec: plan.spec,
        sequences: 1,
        chunks: [ChunkLength::Tokens(128); 2],
        speed: DeviceClass::TYPICAL.speed(),
        budget: BUDGET,
        limits: [u64::MAX; 2],
        without_model: false,
        machines: 1,
    };
    let lines: Vec<Line> = StrategyKind::ALL.map(|kind| Line::plan(&question, kind, Some(END))).into();
    let model_bytes = question.model_bytes();
    let chart = StoredValue::new((Chart { model_bytes, end: END, lines }, question));
    let drawn = Memo::new(move |_| {
        let budget = lesson.budget.get() << 20;
        chart.with_value(|(chart, question)| {
            // What is asked for is drawn once it is known.
            let is_known = |line: &&Line| line.kind != StrategyKind::Stream || lesson.is_revealed();
            let lines = chart.lines.iter().filter(is_known).map(|line| line.within(budget, question)).collect();
            // The axes stay while the budget moves.
            let fixed = Drawn::new(chart.clone(), question, "", Trainable::All);
            Drawn { chart: Arc::new(Chart { lines, ..chart.clone() }), budget, ..fixed }
        })
    });
    let place = move || BUDGETS.iter().position(|budget| *budget == lesson.budget.get()).unwrap_or(2);
    view! {
        {move || plot::plain(t, &drawn.get())}
        {slider(words, BUDGETS.len() - 1, place, move || bytes(lesson.budget.get() << 20), move |place| lesson.budget.set(BUDGETS[place]))}
    }
}
