//! Weights out and in; what the browser keeps.

use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{File, HtmlInputElement};

use super::T;
use super::state::State;
use crate::web::protocol::ToWorker;
use crate::web::texts::fill;

pub fn view(state: State, t: T) -> impl IntoView {
    let input = move |id: &'static str, label: String, many: bool, kinds: Option<&'static str>| {
        let node = NodeRef::<leptos::html::Input>::new();
        let chosen = move |_| {
            if let Some(input) = node.get_untracked() {
                spawn_local(import(state, t, input));
            }
        };
        view! {
            <label class="field" for=id>{label}</label>
            <input id=id type="file" multiple=many accept=kinds node_ref=node disabled=move || state.has_run.get() on:change=chosen/>
        }
    };
    view! {
        <section aria-labelledby="keep-title">
            <h2 id="keep-title">{t.keep.title.clone()}</h2>
            <p class="hint">{t.keep.about.clone()} " " {t.keep.storage_about.clone()}</p>
            <div class="buttons">
                <button id="export" type="button" disabled=move || !state.has_run.get() || state.phase.get().is_going()
                    on:click=move |_| state.send(&ToWorker::Export)>{t.keep.export.clone()}</button>
            </div>
            {input("import", t.keep.import.clone(), false, Some(".zip"))}
            {input("import-folder", t.keep.import_folder.clone(), true, None)}
        </section>
    }
}

/// Hands the chosen files to the worker, which knows what is in them.
async fn import(state: State, t: T, input: HtmlInputElement) {
    let Some(files) = input.files() else { return };
    let files: Vec<File> = (0..files.length()).filter_map(|i| files.get(i)).collect();
    let (mut list, mut bytes) = (Vec::new(), Vec::new());
    for file in files {
        let Ok(buffer) = JsFuture::from(file.array_buffer()).await else {
            return state.complain(&fill(&t.failures.unreadable, &[("name", &file.name())]));
        };
        let content = js_sys::Uint8Array::new(&buffer).to_vec();
        list.push((file.name(), content.len() as u32));
        bytes.extend(content);
    }
    // The same file can be chosen again then.
    input.set_value("");
    if !list.is_empty() {
        state.send_with(&ToWorker::Import(list), &bytes);
    }
}
