//! The parts of a mountain at the moment that a pointer, a finger or the keyboard is on.

use std::sync::Arc;

use leptos::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent};

use crate::step::StrategyKind;
use crate::web::charts::{MountainColumn, Mountains, Part, model_bytes};
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::page::browser;
use crate::web::see::name;

/// How far an arrow key goes, as a share of the mountain's width.
const ARROW: f64 = 0.02;

/// The mountains at the slider's place.
pub type Shown = Memo<Arc<Mountains>>;

/// What is pointed at: a mountain, and how far across it.
type Pointed = RwSignal<Option<(StrategyKind, f64)>>;

pub fn view(t: T, shown: Shown) -> impl IntoView {
    let pointed: Pointed = RwSignal::new(None);
    view! { <div class="see-parts">{StrategyKind::ALL.map(|kind| mountain(t, shown, pointed, kind))}</div> }
}

/// One mountain's place: a slider over the moments of its step.
fn mountain(t: T, shown: Shown, pointed: Pointed, kind: StrategyKind) -> impl IntoView {
    let peak = move || shown.with(|mountains| mountains.all[kind as usize].peak_at());
    let share = move || pointed.get().filter(|(on, _)| *on == kind).map(|(_, share)| share);
    let column = move |share: f64| shown.with(|mountains| mountains.all[kind as usize].at(share).clone());
    let point = move |event: PointerEvent| pointed.set(Some((kind, browser::share_across(&event))));
    // A finger that leaves the glass has not gone elsewhere.
    let leave = move |event: PointerEvent| {
        if event.pointer_type() == "mouse" {
            pointed.set(None);
        }
    };
    let key = move |event: KeyboardEvent| {
        let at = untrack(share).unwrap_or_else(|| untrack(peak));
        let to = match event.key().as_str() {
            "ArrowLeft" | "ArrowDown" => (at - ARROW).max(0.0),
            "ArrowRight" | "ArrowUp" => (at + ARROW).min(1.0),
            "Home" => 0.0,
            "End" => 1.0,
            "Escape" => return pointed.set(None),
            _ => return,
        };
        event.prevent_default();
        pointed.set(Some((kind, to)));
    };
    let spoken = move || {
        let column = column(share().unwrap_or_else(peak));
        let parts = rows(t, &column).into_iter().map(|(_, name, size)| format!("{name} {}", bytes(size)));
        format!("{}. {}", heading(t, &column), parts.collect::<Vec<_>>().join(", "))
    };
    view! {
        <div class="mountain" tabindex="0" role="slider" aria-label=fill(t.see.parts, &[("strategy", &name(t, kind))])
            aria-valuemin="0" aria-valuemax="100" aria-valuenow=move || format!("{:.0}", 100.0 * share().unwrap_or_else(peak)) aria-valuetext=spoken
            on:pointermove=point on:pointerdown=point on:pointerleave=leave on:keydown=key
            on:focus=move |_| pointed.update(|pointed| *pointed = pointed.filter(|(on, _)| *on == kind).or_else(|| Some((kind, untrack(peak)))))
            on:blur=move |_| pointed.update(|pointed| *pointed = pointed.filter(|(on, _)| *on != kind))>
            {move || share().map(|share| tooltip(t, kind, share, &column(share)))}
        </div>
    }
}

/// Above what is pointed at: on the side where there is more room.
fn tooltip(t: T, kind: StrategyKind, share: f64, column: &MountainColumn) -> impl IntoView + use<> {
    let is_right = kind as usize as f64 + share > StrategyKind::ALL.len() as f64 / 2.0;
    let row = |(colour, name, size): (&'static str, &'static str, u64)| {
        view! { <li style:--colour=format!("var(--{colour})")><span>{name}</span> <b>{bytes(size)}</b></li> }
    };
    view! {
        <div class="moment-line" style:left=format!("{:.2}%", 100.0 * share)>
            <div class="see-tooltip" class:left=is_right>
                <p>{heading(t, column)}</p>
                <ul>{rows(t, column).into_iter().map(row).collect_view()}</ul>
            </div>
        </div>
    }
}

fn heading(t: T, column: &MountainColumn) -> String {
    fill(t.see.at, &[("pass", &t.pass(column.pass)), ("bytes", &bytes(column.parts.iter().sum()))])
}

/// What there is, from the top of the stack down: colours, names and bytes.
fn rows(t: T, column: &MountainColumn) -> Vec<(&'static str, &'static str, u64)> {
    let growing = Part::ALL.into_iter().rev().filter(|part| !part.is_the_models());
    let growing = growing.map(|part| (part.name(), t.part(part), column.parts[part as usize]));
    growing.chain([("model", t.see.the_model, model_bytes(&column.parts))]).filter(|(_, _, size)| *size > 0).collect()
}
