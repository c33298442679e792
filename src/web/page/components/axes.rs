//! The axes of a chart as they are drawn: lines across the picture, and labels beside it.

use leptos::prelude::*;

use crate::web::axis::{SIDE, Scale};

/// A place in a chart.
pub fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

/// A line for every tick, in an SVG that is [`SIDE`] wide and high.
pub fn grid(x: Option<&Scale>, y: Option<&Scale>) -> impl IntoView + use<> {
    let shares = |scale: Option<&Scale>| scale.map_or_else(Vec::new, |scale| scale.ticks().iter().map(|&tick| scale.share(tick)).collect());
    let horizontal = |share: f64| view! { <line x1="0" x2=SIDE y1=SIDE * (1.0 - share) y2=SIDE * (1.0 - share)/> };
    let vertical = |share: f64| view! { <line y1="0" y2=SIDE x1=SIDE * share x2=SIDE * share/> };
    view! { <g class="ticks">{shares(y).into_iter().map(horizontal).collect_view()}{shares(x).into_iter().map(vertical).collect_view()}</g> }
}

/// The labels of the ticks at the left.
pub fn y_labels(scale: &Scale, label: fn(f64) -> String) -> impl IntoView + use<> {
    let tick = |&value: &f64| (percent(100.0 - 100.0 * scale.share(value)), label(value));
    let ticks: Vec<(String, String)> = scale.ticks().iter().map(tick).collect();
    ticks.into_iter().map(|(top, text)| view! { <span class="tick" style:top=top aria-hidden="true">{text}</span> }).collect_view()
}

/// The labels of the ticks below.
pub fn x_labels(scale: &Scale, label: fn(f64) -> String) -> impl IntoView + use<> {
    let tick = |&value: &f64| (percent(100.0 * scale.share(value)), label(value));
    let ticks: Vec<(String, String)> = scale.ticks().iter().map(tick).collect();
    ticks.into_iter().map(|(left, text)| view! { <span class="tick-x" style:left=left aria-hidden="true">{text}</span> }).collect_view()
}

/// A line for every tick of the scale from the bottom to the top, above a picture whose own SVG has other units.
pub fn across(scale: &Scale) -> impl IntoView + use<> {
    view! {
        <svg class="across" viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" aria-hidden="true">{grid(None, Some(scale))}</svg>
    }
}
