//! The grid of layers × chunks at a moment: what each cell holds.

use std::sync::Arc;

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::describe;
use crate::step::Objective;
use crate::web::charts::{CellState, GridCell, GridRow, Part, Parts};
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::page::state::{Plans, StepState};

/// Drawn over what is held only for a while.
const HATCH: &str = "repeating-linear-gradient(45deg, var(--hatch) 0 2px, transparent 2px 6px)";

/// What all cells hold, row by row.
pub type States = Memo<Arc<Vec<Vec<CellState>>>>;

/// What the cells hold at the moment that is shown.
pub fn states(step: StepState) -> States {
    Memo::new(move |_| {
        let turn = step.shown_turn();
        step.plans.with(|plans| Arc::new(plans.as_ref().map_or_else(|_| Vec::new(), |plans| plans.grid.at(plans.chosen(), turn))))
    })
}

/// The colours of the parts.
pub fn legend(t: T) -> impl IntoView {
    view! {
        <ul class="legend" aria-label=t.step_grid.legend>
            {Part::ALL.map(|part| view! { <li style:--colour=format!("var(--{})", part.name())>{t.part(part).to_owned()}</li> })}
        </ul>
    }
}

/// The grid, and above it what happens now. Where there are several of them on the page, one alone has `on_key`, which is given the keys that
/// are pressed on it.
pub fn view(step: StepState, t: T, plans: &Arc<Plans>, states: States, on_key: Option<Callback<KeyboardEvent>>) -> impl IntoView + use<> {
    let own = |id: &'static str| on_key.is_some().then_some(id);
    let grid = &plans.grid;
    let largest_shared = grid.rows.iter().map(|row| row.shared.iter().sum::<u64>()).max().unwrap_or(0);
    let merged = grid.rows.iter().map(|row| row.chunks_per_cell).max().unwrap_or(1);
    let rows = grid.rows.iter().enumerate().map(|(index, row)| {
        let cells = row.cells.iter().enumerate().map(|(at, cell)| view_cell(t, row, cell, (index, at), states, grid.densest));
        let shared: u64 = row.shared.iter().sum();
        let width = format!("{:.1}%", 100.0 * shared as f64 / largest_shared.max(1) as f64);
        let name = row_name(t, row);
        view! {
            <div class="layer">
                <span class="name">{name.clone()}</span>
                <span class="shared">
                    <i style:width=width style:background=stack("to right", &row.shared)
                        data-tip=format!("{name}, {}: {}", t.step_grid.all_chunks, bytes(shared))></i>
                </span>
                <div class="cells">{cells.collect_view()}</div>
            </div>
        }
    });
    let now = {
        let plans = plans.clone();
        Memo::new(move |_| describe::now(t, &plans, step.shown_turn()))
    };
    view! {
        {on_key.is_some().then(|| view! { <p id="now" class="now">{now}</p> })}
        <div class="grid">
            <div id=own("memory") role="group" tabindex=own("0") aria-label=t.step_grid.title aria-describedby=own("now keys")
                data-tip-of=".cell.lit" on:keydown=move |event| on_key.iter().for_each(|on_key| on_key.run(event.clone()))>
                {sequences(step, t, plans)}
                {rows.collect_view()}
                <div class="layer columns"><span></span><span>{t.step_grid.all_chunks}</span><span>{t.step_grid.chunk_axis}</span></div>
            </div>
        </div>
        {(merged > 1).then(|| view! { <p class="note">{fill(t.step_grid.merged, &[("chunks", &merged)])}</p> })}
    }
}

/// Where the sequences of pairs, or of prompts and completions, lie in the batch: as they are packed in the batch at work, or else as long as the plan has them.
fn sequences(step: StepState, t: T, plans: &Plans) -> Option<impl IntoView + use<>> {
    let has_pairs = match plans.plan.objective {
        Objective::CrossEntropy => return None,
        Objective::Dpo(_) => true,
        Objective::Grpo(_) => false,
    };
    let count = plans.plan.shape.lengths().len();
    let sequence = move |place: usize, first: u32, length: u32| {
        let last = first + length - 1;
        let (class, name) = match (place < count, place.is_multiple_of(2)) {
            (true, _) if !has_pairs => ("completion", (place + 1).to_string()),
            (false, _) => ("filler", t.step_grid.filler.to_owned()),
            (true, true) => ("chosen", fill(t.step_grid.chosen, &[("pair", &(place / 2 + 1))])),
            (true, false) => ("rejected", fill(t.step_grid.rejected, &[("pair", &(place / 2 + 1))])),
        };
        let tip = fill(t.step_grid.sequence, &[("name", &name), ("first", &first), ("last", &last)]);
        view! { <span class=class style:flex-grow=length.to_string() data-first=first data-tip=tip>{name}</span> }
    };
    let lengths = plans.plan.shape.lengths().to_vec();
    let all = move || {
        let lengths = step.packed.get().unwrap_or_else(|| lengths.clone());
        let mut first = 0;
        let place = |(place, length): (usize, u32)| {
            first += length;
            sequence(place, first - length, length)
        };
        lengths.into_iter().enumerate().map(place).collect_view()
    };
    Some(view! {
        <div class="layer sequences">
            <span class="name">{t.step_grid.sequences}</span><span></span>
            <div class="cells">{all}</div>
        </div>
    })
}

fn view_cell(t: T, row: &GridRow, cell: &GridCell, (row_at, at): (usize, usize), states: States, densest: f64) -> impl IntoView + use<> {
    let own = Memo::new(move |_| states.with(|states| states.get(row_at).and_then(|row| row.get(at)).cloned().unwrap_or_default()));
    let tokens = cell.tokens.end - cell.tokens.start;
    let height = move || {
        let density = own.with(CellState::bytes) as f64 / f64::from(tokens);
        format!("{:.2}%", (100.0 * density / densest).min(100.0))
    };
    let name = cell_name(t, row, cell);
    let tip = move || fill(t.step_grid.cell_holds, &[("cell", &name), ("bytes", &bytes(own.with(CellState::bytes)))]);
    let class = if row.layer.is_some() { "memory-bar" } else { "head-bar" };
    view! {
        <div class="cell" class:lit=move || own.with(|own| own.is_lit) style:flex-grow=tokens.to_string() data-tip=tip>
            <div class=class data-layer=row.layer data-chunk=cell.chunk data-bytes=move || own.with(CellState::bytes).to_string()
                style:height=height style:background=move || own.with(background)></div>
        </div>
    }
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

/// The same as a table.
pub fn table(step: StepState, t: T, states: States) -> Option<impl IntoView> {
    let plans = step.plans.get().ok()?;
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
