//! Every byte at the moment that is shown, and the numbers of a tensor where the device stands still.

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::describe;
use crate::step::TensorId;
use crate::web::charts::{Entry, entries};
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::browser;
use crate::web::page::components::heat::heat_map;
use crate::web::page::state::{Phase, RunState, State, StepState};
use crate::web::protocol::{TensorView, ToWorker};

/// Rows of the list, at most: what is left out is summed up in one.
const MOST_ROWS: usize = 400;
/// How often the list follows a device that runs at full speed, in milliseconds.
const FOLLOW_MILLIS: u64 = 400;

pub fn view(state: State, t: T) -> impl IntoView {
    let turn = followed(state.run, state.step);
    let list = Memo::new(move |_| {
        let turn = turn.get();
        state
            .step
            .plans
            .with(|plans| plans.as_ref().map_or_else(|_| Vec::new(), |plans| entries(plans.chosen(), turn.min(plans.timeline().turns - 1))))
    });
    let total = move || list.with(|list| list.iter().map(|entry| entry.bytes).sum::<u64>());
    let now = move || {
        let plans = state.step.plans.get().ok()?;
        let (op, what) = describe::describe(t, &plans, turn.get().min(plans.timeline().turns - 1));
        Some(format!("{what} ({op})"))
    };
    let columns = [t.inspector.name, t.inspector.layer, t.inspector.chunk, t.inspector.shape, t.inspector.bytes];
    view! {
        <section class="inspector" aria-labelledby="inspector-title">
            <h2 id="inspector-title">{t.inspector.title}</h2>
            <p class="hint">{t.inspector.about}</p>
            <p class="now">{now}</p>
            {move || (!state.run.stands_within_a_step()).then(|| view! { <p class="hint">{t.inspector.stale}</p> })}
            {move || state.step.inspected.get().map(|view| values(state, t, view))}
            <div class="list" tabindex="0" role="region" aria-labelledby="inspector-title" on:keydown=move |event| walk(&event)>
                <table id="inspector" data-turn=move || turn.get().to_string() data-total-bytes=move || total().to_string()>
                    <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
                    <tbody>
                        <For each=move || rows(&list.get()) key=|row| (row.entry.tensor.map(|id| id.0), row.entry.chunk, row.entry.bytes, row.more) let(row)>
                            {view_row(state, t, row)}
                        </For>
                    </tbody>
                    <tfoot><tr class="sum"><th scope="row" colspan="4">{t.inspector.total}</th><td>{move || bytes(total())}</td></tr></tfoot>
                </table>
            </div>
        </section>
    }
}

/// Hundreds of tensors would be as many stops for those who go by keyboard: within the list the arrows go up and down.
fn walk(event: &KeyboardEvent) {
    let by = match event.key().as_str() {
        "ArrowDown" => 1,
        "ArrowUp" => -1,
        _ => return,
    };
    if browser::focus_next("button.look", by) {
        event.prevent_default();
    }
}

/// The turn that is shown, but not more often than can be read while the device runs at full speed.
fn followed(run: RunState, step: StepState) -> RwSignal<u64> {
    let turn = RwSignal::new(0);
    let waits = StoredValue::new(false);
    Effect::new(move |_| {
        let now = step.shown_turn();
        if run.phase.get_untracked() != Phase::Training || step.pointed.with_untracked(Option::is_some) {
            return turn.set(now);
        }
        if !waits.get_value() {
            waits.set_value(true);
            let later = move || {
                waits.set_value(false);
                turn.set(step.shown_turn_untracked());
            };
            set_timeout(later, std::time::Duration::from_millis(FOLLOW_MILLIS));
        }
    });
    turn
}

/// A row of the list; `more` tensors are summed up in the last.
#[derive(Clone)]
struct Row {
    entry: Entry,
    more: usize,
}

fn rows(list: &[Entry]) -> Vec<Row> {
    let mut rows: Vec<Row> = list.iter().take(MOST_ROWS).map(|entry| Row { entry: entry.clone(), more: 0 }).collect();
    if let [first, ..] = &list[MOST_ROWS.min(list.len())..] {
        let more = &list[MOST_ROWS..];
        let entry = Entry { tensor: None, layer: None, chunk: None, bytes: more.iter().map(|entry| entry.bytes).sum(), ..first.clone() };
        rows.push(Row { entry, more: more.len() });
    }
    rows
}

fn view_row(state: State, t: T, Row { entry, more }: Row) -> impl IntoView {
    let name = match entry.tensor {
        _ if more > 0 => fill(t.inspector.rest, &[("count", &more)]),
        None => t.inspector.free.to_owned(),
        Some(_) => entry.name.clone(),
    };
    let [rows, cols] = entry.shape;
    let shape = entry.tensor.map(|_| format!("{} × {}", whole(u64::from(rows)), whole(u64::from(cols))));
    let label = fill(t.inspector.look, &[("name", &entry.name)]);
    let (tensor, is_readable) = (entry.tensor, entry.is_readable);
    let shown = {
        let name = name.clone();
        move || {
            match tensor.filter(|_| is_readable && state.run.stands_within_a_step()) {
            Some(TensorId(id)) => view! {
                <button class="look" type="button" tabindex="-1" aria-label=label.clone() on:click=move |_| state.send(&ToWorker::Inspect(id))>{name.clone()}</button>
            }
            .into_any(),
            None => name.clone().into_any(),
        }
        }
    };
    let exact = format!("{} B", whole(entry.bytes));
    let swatch = tensor.map(
        |_| view! { <i class="swatch" style:background=format!("var(--{})", entry.part.name()) data-tip=t.part(entry.part).to_owned()></i> },
    );
    view! {
        <tr data-tensor=tensor.map(|id| id.0) data-bytes=entry.bytes>
            <th scope="row">{swatch} {shown} {cache(t, &entry.name).map(|about| view! { <small>{about}</small> })}</th>
            <td>{entry.layer}</td><td>{entry.chunk}</td><td>{shape}</td><td data-tip=exact>{bytes(entry.bytes)}</td>
        </tr>
    }
}

/// What is kept while completions are sampled, in words.
fn cache(t: T, name: &str) -> Option<&'static str> {
    // Behind the number of the layer.
    match name.splitn(3, '.').last()? {
        "prompt.k" | "prompt.v" => Some(t.inspector.of_prompt),
        "completion.k" | "completion.v" => Some(t.inspector.of_completions),
        _ => None,
    }
}

/// The numbers of a tensor.
fn values(state: State, t: T, view: TensorView) -> Option<impl IntoView> {
    let plans = state.step.plans.get_untracked().ok()?;
    let tensor = plans.chosen().program().tensors.get(view.tensor as usize)?;
    let number = |value: f64| format!("{value:.4e}");
    let rows = [
        (t.inspector.shape, format!("{} × {}", whole(u64::from(view.shape[0])), whole(u64::from(view.shape[1])))),
        (t.inspector.min, number(view.min)),
        (t.inspector.max, number(view.max)),
        (t.inspector.mean, number(view.mean)),
        (t.inspector.rms, number(view.rms)),
        (t.inspector.not_finite, whole(view.not_finite)),
    ];
    let label = fill(t.inspector.heat_map, &[("rows", &view.picture_shape[0]), ("cols", &view.picture_shape[1])]);
    Some(view! {
        <div class="values" id="values" role="status" data-tensor=view.tensor>
            <h3>{fill(t.inspector.values, &[("name", &tensor.name)])}</h3>
            <p class="hint">{fill(t.inspector.values_about, &[("number", &whole(view.turn + 1))])}</p>
            <div class="beside">
                <dl>{rows.map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })}</dl>
                {heat_map(view.picture_shape, view.picture, label)}
            </div>
        </div>
    })
}
