//! What the visitor should know, in every view: what is wrong and what would fit, a device that is waited for, storage.

use leptos::prelude::*;

use super::state::{Saves, State, Wait};
use crate::step::Strategy;
use crate::train::Suggestion;
use crate::web::form::Field;
use crate::web::format::sentence;
use crate::web::i18n::{T, fill};
use crate::web::protocol::{Storage, ToWorker};

pub fn view(state: State, t: T) -> impl IntoView {
    // A view that needs no device says nothing of a missing one.
    let is_quiet = Memo::new(move |_| state.device.adapter.with(Option::is_none) && !state.shell.route.get().has_settings());
    let shown_error = move || state.shown_error().filter(|_| !is_quiet.get());
    let notice = move || state.notices.notice.get().map(|notice| view! { <p id="notice" class="note" role="status">{notice}</p> });
    view! {
        <div class="notices">
            {move || state.run.wait.get().map(|wait| while_waiting(state, t, &wait))}
            {notice}
            {move || other_bits(state, t).map(|sentence| view! { <p id="other-bits" class="note" role="status">{sentence}</p> })}
            {move || storage(state.saves, t).map(|sentence| view! { <p id="storage" class="note" role="status">{sentence}</p> })}
            {move || shown_error().map(|trouble| {
                view! {
                    <div class="trouble">
                        <p id="error" role="alert">{sentence(&trouble.message)}</p>
                        {trouble.suggestion.map(|suggestion| apply(state, t, suggestion))}
                    </div>
                }
            })}
        </div>
    }
}

/// What a visitor can do for a run that waits for a device.
fn while_waiting(state: State, t: T, wait: &Wait) -> impl IntoView + use<> {
    let export = (wait.step > 0).then(|| {
        view! { <button id="export-waiting" type="button" on:click=move |_| state.export()>{t.saving.export}</button> }
    });
    view! {
        <p id="waiting" class="note" role="status">{waiting(t, wait)}</p>
        <div class="buttons">
            <button id="open-now" type="button" on:click=move |_| state.send(&ToWorker::OpenNow)>{t.controls.open_now}</button>
            {export}
        </div>
    }
}

fn waiting(t: T, wait: &Wait) -> String {
    let problem = wait.problem.as_deref().unwrap_or(t.controls.no_adapter);
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("problem", &problem), ("step", &wait.step), ("attempt", &(wait.attempts + 1)), ("seconds", &wait.seconds)];
    fill(t.controls.waiting_for_device, &values)
}

/// Puts what would fit into the form.
fn apply(state: State, t: T, suggestion: Suggestion) -> impl IntoView {
    let text = fill(t.controls.apply_suggestion, &[("seq-len", &suggestion.seq_len), ("chunk", &suggestion.chunk)]);
    let apply = move |_| {
        state.settings.form.update(|form| {
            let group = form.get(Field::LayerGroup).to_owned();
            form.set_strategy(
                Strategy::stream(suggestion.chunk, suggestion.chunk).offloading(form.offload).with_adaptive_chunks(form.adaptive_chunks),
            );
            form.set(Field::LayerGroup, group);
            form.set(Field::SeqLen, suggestion.seq_len);
        });
    };
    view! { <button id="apply-suggestion" type="button" on:click=apply>{text}</button> }
}

/// What the visitor should know where gradients are not the same bits.
fn other_bits(state: State, t: T) -> Option<String> {
    state.device.same_bits.get().filter(|same| !same)?;
    let adapter = state.device.adapter.with(|device| device.as_ref().map(|device| device.name.clone()))?;
    Some(fill(t.report.other_bits, &[("adapter", &adapter)]))
}

/// What the visitor should know where runs cannot be saved.
fn storage(saves: Saves, t: T) -> Option<String> {
    match saves.storage.get()? {
        Storage::Works => None,
        Storage::Refuses(reason) => Some(fill(t.saving.storage_refuses, &[("reason", &reason)])),
        Storage::IsFull => Some(t.saving.storage_full.to_owned()),
    }
}
