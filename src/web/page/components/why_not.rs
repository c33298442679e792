//! Why controls that need a device at rest are disabled.

use leptos::prelude::*;

use crate::web::i18n::T;
use crate::web::page::state::{Phase, State};

/// A sentence under that id, to which the controls refer; nothing while they are enabled.
pub fn view(state: State, t: T, id: &'static str) -> impl IntoView {
    view! { <p id=id class="hint">{move || reason(state, t)}</p> }
}

fn reason(state: State, t: T) -> Option<&'static str> {
    match state.run.phase.get() {
        Phase::Loading | Phase::Resuming => None,
        Phase::Training | Phase::Stepping => Some(t.controls.pause_first),
        _ if state.settings.texts_being_read.get() > 0 => Some(t.controls.text_first),
        _ if state.device.adapter.with(Option::is_none) => Some(t.controls.no_device),
        _ => None,
    }
}
