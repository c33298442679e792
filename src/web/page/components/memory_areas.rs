//! Memory through a step as areas by kind.

use leptos::prelude::*;

use super::axes;
use crate::step::Pass;
use crate::web::axis::{Scale, short_bytes};
use crate::web::charts::{HEIGHT, Part, Timeline};
use crate::web::format::bytes;
use crate::web::i18n::T;

/// The areas of a timeline, with the axis of its bytes.
pub fn view(t: T, timeline: &Timeline, scale: Memo<Scale>) -> impl IntoView + use<> {
    // The outlines are computed once; another scale only moves the window through which they are seen.
    let (most, turns) = (timeline.most(), timeline.turns);
    let window = move || {
        let height = scale.with(|scale| HEIGHT * scale.high() / most.max(1) as f64);
        format!("0 {:.1} {turns} {height:.1}", HEIGHT - height)
    };
    let area = |part: Part| view! { <path d=timeline.area(part, most) style:fill=format!("var(--{})", part.name())/> };
    let most_during = |&(pass, _): &(Pass, u64)| format!("{}: {}", t.pass(pass), bytes(timeline.most_during(pass)));
    let label = timeline.passes.iter().map(most_during).collect::<Vec<_>>().join("; ");
    view! {
        {move || scale.with(|scale| axes::y_labels(scale, short_bytes))}
        <svg viewBox=window preserveAspectRatio="none" role="img" aria-label=label>{Part::ALL.map(area)}</svg>
        {move || scale.with(axes::across)}
    }
}
