//! The tooltip of whatever has `data-tip`: by pointer, by touch and by focus.
//!
//! An element with `data-tip-of` shows on focus the tooltip of the first element within it that this selector finds; one with
//! `data-tip-keys`, too, goes to the next ones by the arrow keys.

use std::time::Duration;

use leptos::ev;
use leptos::leptos_dom::helpers::IntervalHandle;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, KeyboardEvent};

use crate::web::page::browser::{elements_within, viewport};

/// What is shown may become another while it is shown, as the bytes of a cell do.
const LOOK_AGAIN: Duration = Duration::from_millis(150);
/// Pixels between an element and its tooltip.
const GAP: f64 = 6.0;
/// Pixels that a tooltip above an element takes, at most.
const ROOM: f64 = 90.0;
/// Half of the largest width of a tooltip in pixels, with a margin: its middle comes no closer to the window's sides.
const HALF_WIDTH: f64 = 150.0;

/// A text, and where it stands.
#[derive(Clone, PartialEq)]
struct Tip {
    text: String,
    left: f64,
    /// From the top of the window if the tooltip is below its element, otherwise from the bottom.
    top: Result<f64, f64>,
}

#[derive(Clone, Copy)]
struct Tooltip {
    shown: RwSignal<Option<Tip>>,
    /// What it is of.
    element: StoredValue<Option<Element>, LocalStorage>,
    looks_again: StoredValue<Option<IntervalHandle>>,
}

/// The tooltip of the page. It stands there once.
pub fn view() -> impl IntoView {
    let tooltip = Tooltip { shown: RwSignal::new(None), element: StoredValue::new_local(None), looks_again: StoredValue::new(None) };
    let point = move |event: &Event| match closest(event, "[data-tip]") {
        Some(element) => tooltip.show(element),
        None => tooltip.hide(),
    };
    window_event_listener(ev::pointerover, move |event| point(&event));
    window_event_listener(ev::pointerdown, move |event| point(&event));
    window_event_listener(ev::focusin, move |event| tooltip.focus(&event));
    window_event_listener(ev::focusout, move |_| tooltip.hide());
    window_event_listener(ev::scroll, move |_| tooltip.hide());
    window_event_listener(ev::keydown, move |event| tooltip.key(&event));
    let drawn = move |tip: Tip| {
        let pixels = |value: f64| format!("{value:.1}px");
        view! {
            <p style:left=pixels(tip.left) style:top=tip.top.ok().map(pixels) style:bottom=tip.top.err().map(pixels)>{tip.text}</p>
        }
    };
    view! { <div id="tooltip" role="tooltip" aria-live="polite">{move || tooltip.shown.get().map(drawn)}</div> }
}

impl Tooltip {
    fn show(self, element: Element) {
        let Some(text) = element.get_attribute("data-tip").filter(|text| !text.is_empty()) else { return self.hide() };
        let (bounds, [width, height]) = (element.get_bounding_client_rect(), viewport());
        let left = f64::midpoint(bounds.left(), bounds.right()).min(width - HALF_WIDTH).max(HALF_WIDTH);
        let top = if bounds.top() > ROOM { Err(height - bounds.top() + GAP) } else { Ok(bounds.bottom() + GAP) };
        let tip = Some(Tip { text, left, top });
        if self.shown.with_untracked(|shown| *shown != tip) {
            self.shown.set(tip);
        }
        self.element.set_value(Some(element));
        if self.looks_again.with_value(Option::is_none) {
            self.looks_again.set_value(set_interval_with_handle(move || self.look_again(), LOOK_AGAIN).ok());
        }
    }

    fn look_again(self) {
        match self.element.get_value().filter(|element| element.is_connected()) {
            Some(element) => self.show(element),
            None => self.hide(),
        }
    }

    fn hide(self) {
        if let Some(handle) = self.looks_again.try_update_value(Option::take).flatten() {
            handle.clear();
            self.element.set_value(None);
            self.shown.set(None);
        }
    }

    fn focus(self, event: &Event) {
        let Some(element) = closest(event, "[data-tip], [data-tip-of]") else { return };
        // A pointer that brings the focus shows what it is on by itself.
        if !element.matches(":focus-visible").unwrap_or(false) {
            return;
        }
        match element.get_attribute("data-tip-of") {
            Some(selector) => elements_within(&element, &selector).next().into_iter().for_each(|first| self.show(first)),
            None => self.show(element),
        }
    }

    fn key(self, event: &KeyboardEvent) {
        let by = match event.key().as_str() {
            "Escape" => return self.hide(),
            "ArrowLeft" | "ArrowUp" => -1,
            "ArrowRight" | "ArrowDown" => 1,
            _ => return,
        };
        let Some(group) = closest(event, "[data-tip-keys]") else { return };
        let all: Vec<Element> = elements_within(&group, &group.get_attribute("data-tip-of").unwrap_or_default()).collect();
        let shown = self.element.get_value();
        let at = all.iter().position(|element| shown.as_ref().is_some_and(|shown| element.is_same_node(Some(shown))));
        let next = at.map_or(Some(0), |at| at.checked_add_signed(by)).and_then(|at| all.get(at).cloned());
        event.prevent_default();
        next.into_iter().for_each(|next| self.show(next));
    }
}

fn closest(event: &Event, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok().flatten()
}
