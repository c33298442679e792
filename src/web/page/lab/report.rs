//! A report on this device, to paste into an issue.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::web::i18n::T;
use crate::web::page::browser;
use crate::web::page::state::State;
use crate::web::protocol::ToWorker;

pub fn view(state: State, t: T) -> impl IntoView {
    let is_busy = move || state.run.phase.get().is_busy() || state.device.adapter.with(Option::is_none) || state.lab.is_reporting.get();
    let report = move |_| {
        state.lab.report.set(None);
        state.lab.is_reporting.set(true);
        state.send(&ToWorker::Report);
    };
    let text = move || if state.lab.is_reporting.get() { t.report.writing } else { t.report.copy };
    let outcome = move || {
        state.lab.report.get().map(|(report, is_copied)| {
            view! {
                <p class="hint" id="report-copied" role="status">{if is_copied { t.report.copied } else { t.report.copy_by_hand }}</p>
                <textarea id="report" readonly rows="12" aria-label=t.report.title prop:value=report></textarea>
            }
        })
    };
    view! {
        <div class="proof">
            <h3>{t.report.title}</h3>
            <p class="hint">{t.report.about}</p>
            <div class="buttons"><button id="copy-report" type="button" aria-describedby="lab-why-not" disabled=is_busy on:click=report>{text}</button></div>
            {outcome}
        </div>
    }
}

/// Shows a report, and copies it if the browser lets it: it may find that the visitor's click was too long ago.
pub fn take(state: State, report: String) {
    spawn_local(async move {
        let is_copied = browser::copy(&report).await;
        state.lab.is_reporting.set(false);
        state.lab.report.set(Some((report, is_copied)));
    });
}
