//! The pictures and the trace as files.

use std::sync::Arc;

use leptos::prelude::*;

use super::describe;
use crate::step::Pass;
use crate::web::charts::{POSTER_SIZE, Part, Words, poster};
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::page::browser;
use crate::web::page::state::{Plans, StepState};

pub fn view(step: StepState, t: T, plans: Arc<Plans>) -> impl IntoView {
    let name = format!("streambp-{}-{}", plans.plan.strategy.kind, plans.plan.shape.tokens());
    let svg = {
        let plans = plans.clone();
        move || svg(t, &plans, step.shown_turn_untracked())
    };
    let (as_svg, as_png) = (svg.clone(), svg);
    let (svg_name, png_name, trace_name) = (format!("{name}.svg"), format!("{name}.png"), format!("{name}.pickle"));
    let trace = move |_| {
        let planned = plans.chosen();
        browser::download(&trace_name, "application/octet-stream", &planned.plan.memory_trace());
    };
    view! {
        <div class="buttons exports">
            <button id="export-svg" type="button" on:click=move |_| browser::download(&svg_name, "image/svg+xml", as_svg().as_bytes())>
                {t.step_grid.export_svg}
            </button>
            <button id="export-png" type="button" on:click=move |_| browser::download_png(&as_png(), &png_name, POSTER_SIZE)>
                {t.step_grid.export_png}
            </button>
            <button id="export-trace" type="button" on:click=trace>{t.step_grid.export_trace}</button>
        </div>
    }
}

fn svg(t: T, plans: &Plans, turn: u64) -> String {
    let (planned, timeline) = (plans.chosen(), plans.timeline());
    let at = planned.program().instance(turn);
    let alive = bytes(planned.plan.alive_bytes(crate::step::ProgramPoint { block: at.block, node: at.node }));
    let (op, what) = describe::describe(t, plans, turn);
    let (peak_op, peak_what) = describe::describe(t, plans, timeline.peak);
    let peak = bytes(planned.peak_bytes());
    let words = Words {
        title: format!(
            "{}: {}, {} × {}",
            t.bar.title,
            plans.plan.strategy.kind,
            plans.plan.shape.lengths().len(),
            plans.plan.shape.longest()
        ),
        moment: fill(t.step_grid.now, &[("op", &op), ("what", &what), ("bytes", &alive)]),
        peak: fill(t.step_grid.peak, &[("bytes", &peak), ("op", &peak_op), ("what", &peak_what)]),
        row: &|layer| layer.map_or_else(|| t.step_grid.head_row.to_owned(), |layer| fill(t.step_grid.layer, &[("layer", &layer)])),
        part: &|part: Part| t.part(part).to_owned(),
        pass: &|pass: Pass| t.pass(pass).to_owned(),
        colour: &|name| browser::css_colour(name),
    };
    poster(planned, &plans.grid, timeline, turn, &words)
}
