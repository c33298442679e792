//! The kernel at work: what the GPU runs for the operation that is shown, with the tile sizes of this device.

mod listing;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;

use super::describe;
use crate::gpu::Tuning;
use crate::step::{OpKind, Program};
use crate::web::charts::{KernelAtWork, formula};
use crate::web::format::whole;
use crate::web::i18n::{T, fill};
use crate::web::page::state::{DeviceState, Phase, Plans, RunState, State, StepState};

/// How often the panel follows what is shown, in milliseconds: a film may be faster than anybody reads.
const FOLLOW_MILLIS: u64 = 250;

/// What is shown of an operation.
#[derive(Clone, PartialEq)]
struct Shown {
    kind: OpKind,
    turn: u64,
    formula: String,
    now: String,
    /// Host copies have none.
    kernel: Option<Arc<KernelAtWork>>,
}

pub fn view(state: State, t: T) -> impl IntoView {
    let (step, device) = (state.step, state.device);
    let turn = followed(state.run, step);
    let tuning = Memo::new(move |_| device.tuning.get().unwrap_or(Tuning::GPU));
    let shown =
        Memo::new(move |_| step.plans.with(|plans| plans.as_ref().ok().map(|plans| Shown::of(t, plans, turn.get(), &tuning.get()))));
    let kernel = Memo::new(move |_| shown.with(|shown| shown.as_ref().and_then(|shown| shown.kernel.clone())));
    let is_planned = Memo::new(move |_| shown.with(Option::is_some));
    let shader = Memo::new(move |_| kernel.with(|kernel| kernel.as_ref().map(|kernel| kernel.shader().clone())));
    let text = move |of: fn(&Shown) -> String| move || shown.with(|shown| shown.as_ref().map(of));
    view! {
        <section class="kernel" id="kernel" aria-labelledby="kernel-title" data-turn=move || turn.get().to_string()
            data-op=move || shown.with(|shown| shown.as_ref().map(|shown| shown.kind.stem()))>
            <div class="kernel-head">
                <h2 id="kernel-title">{t.kernel.title}</h2>
                {move || step.plans.with(|plans| plans.as_ref().ok().map(|plans| choice(step, t, plans, shown)))}
            </div>
            <p class="hint">{t.kernel.about}</p>
            <p class="now" id="kernel-now">{text(|shown| shown.now.clone())}</p>
            <p class="formula"><code>{text(|shown| shown.formula.clone())}</code></p>
            {move || is_planned.get().then(|| match kernel.get() {
                None => view! { <p class="note">{t.kernel.none}</p> }.into_any(),
                Some(kernel) => view! {
                    {facts(t, device, &kernel)}
                    {tables::bindings(t, &kernel)}
                    {tables::constants(t, kernel.shader())}
                }
                .into_any(),
            })}
            {move || shader.get().map(|shader| listing::view(t, &shader, kernel))}
        </section>
    }
}

impl Shown {
    fn of(t: T, plans: &Plans, turn: u64, tuning: &Tuning) -> Self {
        let program = plans.chosen().program();
        let turn = turn.min(plans.timeline().turns - 1);
        let at = program.instance(turn);
        let op = program.op(at.block, at.node);
        let (name, what) = describe::describe(t, plans, turn);
        let kernel = KernelAtWork::of(program, at, tuning).map(Arc::new);
        Shown { kind: op.kind(), turn, formula: formula(op), now: format!("{what} ({name})"), kernel }
    }
}

/// The turn that is shown, as often as can be read. While the device runs at full speed, nobody could: the panel waits for a moment that the
/// visitor chooses.
fn followed(run: RunState, step: StepState) -> RwSignal<u64> {
    let turn = RwSignal::new(step.shown_turn_untracked());
    let waits = StoredValue::new(false);
    Effect::new(move |_| {
        let is_chosen = step.pointed.with(Option::is_some) || step.cursor.with(Option::is_some);
        if run.phase.get() == Phase::Training && !is_chosen {
            return;
        }
        step.shown_turn();
        if waits.get_value() {
            return;
        }
        waits.set_value(true);
        let later = move || {
            // The view may be gone by now.
            if waits.try_set_value(false).is_none() {
                turn.try_set(step.shown_turn_untracked());
            }
        };
        set_timeout(later, Duration::from_millis(FOLLOW_MILLIS));
    });
    turn
}

/// The operations of the step by name: goes to the next use of the one that is chosen, and then to those after it.
fn choice(step: StepState, t: T, plans: &Arc<Plans>, shown: Memo<Option<Shown>>) -> impl IntoView + use<> {
    let kinds = kinds(plans.chosen().program());
    let name = |kind: OpKind| kind.stem().replace('_', " ");
    let is_shown = move |kind| shown.with(|shown| shown.as_ref().is_some_and(|shown| shown.kind == kind));
    let option = move |kind: OpKind| view! { <option value=kind.stem() prop:selected=move || is_shown(kind)>{name(kind)}</option> };
    let options = kinds.into_iter().map(option).collect_view();
    let go = {
        let plans = plans.clone();
        move |stem: &str| {
            let next = next_of(plans.chosen().program(), stem, step.shown_turn_untracked());
            step.film.playing.set(None);
            step.pointed.set(None);
            step.cursor.set(next);
        }
    };
    let go_on = {
        let go = go.clone();
        move |_| shown.with_untracked(|shown| shown.as_ref().map(|shown| shown.kind.stem())).iter().for_each(|stem| go(stem))
    };
    view! {
        <p>
            <label for="kernel-op">{t.kernel.operation}</label>
            <select id="kernel-op" on:change=move |event| go(&event_target_value(&event))>{options}</select>
            <button id="kernel-next" type="button" aria-label=t.kernel.next_use data-tip=t.kernel.next_use on:click=go_on>"›"</button>
        </p>
    }
}

/// The kinds of operations that a program has, in the order in which they first come.
fn kinds(program: &Program) -> Vec<OpKind> {
    let mut kinds = Vec::new();
    for kind in program.blocks.iter().flat_map(|block| &block.nodes).map(|node| node.op.kind()) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// The next turn of an operation behind one that is shown, or else its first.
fn next_of(program: &Program, stem: &str, from: u64) -> Option<u64> {
    let all = program.instance_count();
    let is_of = |turn: &u64| {
        let at = program.instance(*turn);
        program.op(at.block, at.node).kind().stem() == stem
    };
    (from + 1..all).chain(0..=from).find(is_of)
}

/// The numbers of the dispatch.
fn facts(t: T, device: DeviceState, kernel: &KernelAtWork) -> impl IntoView + use<> {
    let [x, y, z] = kernel.workgroups.map(|count| whole(count.into()));
    let workgroups = format!("{x} × {y} × {z} = {}", whole(kernel.workgroup_count()));
    let is_fused = move || device.tuning.get().unwrap_or(Tuning::GPU).max_parallel_fused > 1;
    view! {
        <dl class="planned" id="kernel-facts" data-workgroups=format!("{:?}", kernel.workgroups) data-workgroup-size=kernel.workgroup_size>
            <div><dt>{t.kernel.workgroups}</dt><dd>{workgroups}</dd></div>
            <div><dt>{t.kernel.workgroup_size}</dt><dd>{kernel.workgroup_size}</dd></div>
            <div><dt>{t.kernel.threads}</dt><dd>{whole(kernel.threads())}</dd></div>
        </dl>
        <p class="hint">{move || match device.adapter.get() {
            Some(device) => fill(t.kernel.of_device, &[("device", &device.name)]),
            None => t.kernel.of_gpu.to_owned(),
        }} " " {move || is_fused().then_some(t.kernel.fused)}</p>
    }
}
