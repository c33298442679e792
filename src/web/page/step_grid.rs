//! The step, drawn: the grid of layers × chunks at a moment, slow motion, the memory through the step.

use std::sync::Arc;

use leptos::prelude::*;

use super::state::{Plans, State};
use super::{T, stepping, timeline};
use crate::web::charts::{CellState, Doing, GridCell, GridRow, Part, Parts};
use crate::web::format::{bytes, whole};
use crate::web::i18n::fill;

/// Drawn over what is held only for a while.
const HATCH: &str = "repeating-linear-gradient(45deg, var(--hatch) 0 2px, transparent 2px 6px)";

/// What all cells hold, row by row.
type States = Memo<Arc<Vec<Vec<CellState>>>>;

pub fn view(state: State, t: T) -> impl IntoView {
    let states: States = Memo::new(move |_| {
        let turn = state.shown_turn();
        state.plans.with(|plans| Arc::new(plans.as_ref().map_or_else(|_| Vec::new(), |plans| plans.grid.at(plans.chosen(), turn))))
    });
    let picture = move || {
        state.plans.with(|plans| match plans {
            Ok(plans) => view! { {grid(state, t, plans, states)} {timeline::view(state, t, plans)} }.into_any(),
            Err(_) => view! { <p class="note">{t.failures.no_plan}</p> }.into_any(),
        })
    };
    view! {
        <section class="stage" aria-labelledby="stage-title">
            <h2 id="stage-title">{t.step_grid.title}</h2>
            <p class="hint">{t.step_grid.about}</p>
            <ul class="legend" aria-label=t.step_grid.legend>
                {Part::ALL.map(|part| view! { <li style:--colour=format!("var(--{})", part.name())>{t.part(part).to_owned()}</li> })}
            </ul>
            {picture}
            {move || planned(state, t)}
            {stepping::view(state, t)}
            <details><summary>{t.step_grid.as_table}</summary>{move || table(state, t, states)}</details>
        </section>
    }
}

fn grid(state: State, t: T, plans: &Arc<Plans>, states: States) -> impl IntoView {
    let stage = &plans.grid;
    let largest_shared = stage.rows.iter().map(|row| row.shared.iter().sum::<u64>()).max().unwrap_or(0);
    let merged = stage.rows.iter().map(|row| row.chunks_per_cell).max().unwrap_or(1);
    let rows = stage.rows.iter().enumerate().map(|(index, row)| {
        let cells = row.cells.iter().enumerate().map(|(at, cell)| view_cell(t, row, cell, (index, at), states, stage.densest));
        let shared: u64 = row.shared.iter().sum();
        let width = format!("{:.1}%", 100.0 * shared as f64 / largest_shared.max(1) as f64);
        let name = row_name(t, row);
        view! {
            <div class="layer">
                <span class="name">{name.clone()}</span>
                <span class="shared">
                    <i style:width=width style:background=stack("to right", &row.shared)
                        title=format!("{name}, {}: {}", t.step_grid.all_chunks, bytes(shared))></i>
                </span>
                <div class="cells">{cells.collect_view()}</div>
            </div>
        }
    });
    let now = {
        let plans = plans.clone();
        Memo::new(move |_| now(t, &plans, state.shown_turn()))
    };
    view! {
        <p id="now" class="now">{now}</p>
        <div class="grid">
            <div id="memory" role="group" tabindex="0" aria-label=t.step_grid.title aria-describedby="now keys" on:keydown=move |event| stepping::key(state, &event)>
                {rows.collect_view()}
                <div class="layer columns"><span></span><span>{t.step_grid.all_chunks}</span><span>{t.step_grid.chunk_axis}</span></div>
            </div>
        </div>
        <p class="hint" id="keys">{t.step_grid.keys}</p>
        {(merged > 1).then(|| view! { <p class="note">{fill(t.step_grid.merged, &[("chunks", &merged)])}</p> })}
    }
}

fn view_cell(t: T, row: &GridRow, cell: &GridCell, (row_at, at): (usize, usize), states: States, densest: f64) -> impl IntoView {
    let own = Memo::new(move |_| states.with(|states| states.get(row_at).and_then(|row| row.get(at)).cloned().unwrap_or_default()));
    let tokens = cell.tokens.end - cell.tokens.start;
    let height = move || {
        let density = own.with(CellState::bytes) as f64 / f64::from(tokens);
        format!("{:.2}%", (100.0 * density / densest).min(100.0))
    };
    let name = cell_name(t, row, cell);
    let title = move || fill(t.step_grid.cell_holds, &[("cell", &name), ("bytes", &bytes(own.with(CellState::bytes)))]);
    let class = if row.layer.is_some() { "memory-bar" } else { "head-bar" };
    view! {
        <div class="cell" class:lit=move || own.with(|own| own.is_lit) style:flex-grow=tokens.to_string() title=title>
            <div class=class data-layer=row.layer data-chunk=cell.chunk data-bytes=move || own.with(CellState::bytes).to_string()
                style:height=height style:background=move || own.with(background)></div>
        </div>
    }
}

/// The turn in words.
fn now(t: T, plans: &Plans, turn: u64) -> String {
    let planned = plans.chosen();
    let at = planned.program().instance(turn);
    let alive = planned.plan.alive_bytes(crate::step::ProgramPoint { block: at.block, node: at.node });
    let (op, what) = describe(t, plans, turn);
    fill(t.step_grid.now, &[("op", &op), ("what", &what), ("bytes", &bytes(alive))])
}

/// The operation of a turn of the chosen step, and what happens there in words.
pub fn describe(t: T, plans: &Plans, turn: u64) -> (String, String) {
    describe_in(t, plans.chosen().program(), turn)
}

/// The operation of a turn, and what happens there in words.
pub fn describe_in(t: T, program: &crate::step::Program, turn: u64) -> (String, String) {
    let at = program.instance(turn);
    let texts = &t.step_grid;
    let (text, layer) = match Doing::at(program, at) {
        Doing::Clear => (texts.does_clear, 0),
        Doing::Embed => (texts.does_embed, 0),
        Doing::Forward(layer) => (texts.does_forward, layer),
        Doing::Again(layer) => (texts.does_again, layer),
        Doing::Backward(layer) => (texts.does_backward, layer),
        Doing::Loss => (texts.does_loss, 0),
        Doing::EmbeddingGradient => (texts.does_embedding_gradient, 0),
        Doing::Update => (texts.does_update, 0),
    };
    let op = program.op(at.block, at.node).kind().stem().replace('_', " ");
    (op, fill(text, &[("layer", &layer), ("chunk", &at.chunk.index)]))
}

fn row_name(t: T, row: &GridRow) -> String {
    row.layer.map_or_else(|| t.step_grid.head_row.to_owned(), |layer| fill(t.step_grid.layer, &[("layer", &layer)]))
}

fn cell_name(t: T, row: &GridRow, cell: &GridCell) -> String {
    let (first, last) = (cell.tokens.start, cell.tokens.end - 1);
    fill(t.step_grid.cell, &[("row", &row_name(t, row)), ("chunk", &cell.chunk), ("first", &first), ("last", &last)])
}

/// What is kept from below, what is passing above it, hatched.
fn background(state: &CellState) -> String {
    let total = state.bytes().max(1) as f64;
    let passing = 100.0 * state.passing.iter().sum::<u64>() as f64 / total;
    let of = |parts: Parts| Part::ALL.map(|part| (part, parts[part as usize]));
    let parts = [of(state.kept), of(state.passing)].concat();
    format!("{HATCH} top / 100% {passing:.2}% no-repeat, {}", gradient("to top", &parts))
}

fn stack(direction: &str, parts: &Parts) -> String {
    gradient(direction, &Part::ALL.map(|part| (part, parts[part as usize])))
}

/// Stripes of the parts' colours, each as long as its share.
fn gradient(direction: &str, parts: &[(Part, u64)]) -> String {
    let total = parts.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1) as f64;
    let mut from = 0.0;
    let stripes = parts.iter().filter(|(_, bytes)| *bytes > 0).map(|&(part, bytes)| {
        let start = from;
        from += 100.0 * bytes as f64 / total;
        format!("var(--{}) {start:.2}% {from:.2}%", part.name())
    });
    let stripes: Vec<String> = stripes.collect();
    if stripes.is_empty() { "none".to_owned() } else { format!("linear-gradient({direction}, {})", stripes.join(", ")) }
}

/// Planned bytes beside those that were created, and what there is beside the step.
fn planned(state: State, t: T) -> impl IntoView {
    let plan = state.plans.with(|plans| plans.as_ref().ok().map(|plans| plans.chosen().peak_bytes()));
    let host = state.plans.with(|plans| plans.as_ref().map_or(0, |plans| plans.chosen().plan.host_bytes()));
    let created = state.run_bytes.get();
    let exact = |value: u64| format!("{} ({} bytes)", bytes(value), whole(value));
    let [planned_text, created_text] = match created {
        Some((planned, created)) => [exact(planned), exact(created)],
        None => [plan.map_or_else(String::new, exact), t.step_grid.none_yet.to_owned()],
    };
    let beside = move || state.buffers.get().into_iter().filter(|(name, _)| name != "step");
    let total: u64 = state.buffers.with(|buffers| buffers.iter().map(|(_, bytes)| bytes).sum());
    let change = state.change.get().filter(|change| *change != 0).map(|change| {
        let sign = if change > 0 { "+" } else { "−" };
        fill(t.step_grid.change, &[("bytes", &format!("{sign}{}", bytes(change.unsigned_abs())))])
    });
    view! {
        <dl class="planned" data-total-bytes=total>
            <div>
                <dt>{t.step_grid.planned}</dt>
                <dd><span id="planned" data-bytes=created.map(|(p, _)| p).or(plan)>{planned_text}</span> <small>{change}</small></dd>
            </div>
            <div><dt>{t.step_grid.created}</dt><dd id="created" data-bytes=created.map(|(_, c)| c)>{created_text}</dd></div>
            {(host > 0).then(|| view! { <div><dt>{t.step_grid.on_host}</dt><dd id="on-host" data-bytes=host>{exact(host)}</dd></div> })}
            {move || (beside().count() > 0).then(|| {
                let list = beside().map(|(name, size)| format!("{} {}", t.buffer(&name), bytes(size))).collect::<Vec<_>>().join(", ");
                view! { <div><dt>{t.step_grid.beside}</dt><dd id="beside">{list}</dd></div> }
            })}
        </dl>
    }
}

fn table(state: State, t: T, states: States) -> Option<impl IntoView> {
    let plans = state.plans.get().ok()?;
    let states = states.get();
    let rows = plans.grid.rows.iter().zip(states.iter()).map(|(row, states)| {
        let sum = |of: fn(&CellState) -> &Parts| bytes(states.iter().flat_map(|state| of(state).iter()).sum());
        let lit: Vec<String> =
            row.cells.iter().zip(states).filter(|(_, state)| state.is_lit).map(|(cell, _)| cell.chunk.to_string()).collect();
        view! {
            <tr>
                <th scope="row">{row_name(t, row)}</th><td>{row.cells.len()}</td>
                <td>{sum(|state| &state.kept)}</td><td>{sum(|state| &state.passing)}</td><td>{lit.join(", ")}</td>
            </tr>
        }
    });
    let columns = [t.step_grid.row, t.step_grid.chunks, t.step_grid.kept, t.step_grid.passing, t.inspector.chunk];
    Some(view! {
        <table>
            <caption>{t.step_grid.title}</caption>
            <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    })
}
