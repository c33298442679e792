//! Opening a model: from a folder, files or a zip, from an address, or from what is kept in the browser.

use std::fmt::Display;

use js_sys::{Array, Promise, Reflect};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DataTransfer, DragEvent, File, FileList, FileSystemDirectoryEntry, FileSystemEntry, FileSystemFileEntry, HtmlInputElement};

use crate::model::Parameters;
use crate::model::archive::Kind;
use crate::web::form::Field;
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::model_protocol::{CachedModel, ToModelWorker};
use crate::web::page::state::{Models, Settings, State};

pub fn view(state: State, t: T) -> impl IntoView {
    let models = state.models;
    let over = RwSignal::new(false);
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        if let Some(transfer) = event.data_transfer() {
            let entries = entries(&transfer);
            spawn_local(async move { state.open_files(Kind::Model, files_of(entries).await) });
        }
    };
    let address = NodeRef::<leptos::html::Input>::new();
    let fetch = move |_| {
        let typed = address.get_untracked().map(|input| input.value()).unwrap_or_default();
        state.fetch_model(typed);
    };
    let is_busy = move || models.is_busy.get();
    view! {
        <div role="status">{move || opened(state, t)}</div>
        <details id="open-model" on:toggle=move |_| state.ensure_models()>
            <summary>{t.models.open}</summary>
            <p class="hint">{t.models.about}</p>
            <fieldset disabled=is_busy>
                <div class="drop" class:over=move || over.get()
                    on:dragover=move |event: DragEvent| { event.prevent_default(); over.set(true); }
                    on:dragleave=move |_| over.set(false)
                    on:drop=dropped>
                    <span>{t.models.drop}</span>
                    {chooser(state, "import-folder", t.models.folder, Kind::Model, true)}
                    {chooser(state, "import", t.models.files, Kind::Model, false)}
                </div>
                <label class="field" for="model-address">{t.models.address}</label>
                <input id="model-address" type="url" node_ref=address placeholder="https://huggingface.co/…"/>
                <button id="fetch-model" type="button" on:click=fetch>{t.models.fetch}</button>
                {move || kept(state, t)}
            </fieldset>
        </details>
        <div id="fetching">{move || progress(state, t)}</div>
    }
}

/// A button that lets the visitor choose files.
pub fn chooser(state: State, id: &'static str, label: &str, kind: Kind, is_folder: bool) -> impl IntoView + use<> {
    let node = NodeRef::<leptos::html::Input>::new();
    let chosen = move |_| {
        let Some(input): Option<HtmlInputElement> = node.get_untracked() else { return };
        state.open_files(kind, input.files().map(named).unwrap_or_default());
        // The same files can be chosen again then.
        input.set_value("");
    };
    view! {
        <label class="field" for=id>{label.to_owned()}</label>
        <input id=id type="file" multiple prop:webkitdirectory=is_folder node_ref=node on:change=chosen/>
    }
}

/// Files with their names in the folder that was chosen.
fn named(files: FileList) -> Vec<(String, File)> {
    let name = |file: &File| {
        let path = Reflect::get(file, &"webkitRelativePath".into()).ok().and_then(|path| path.as_string());
        path.filter(|path| !path.is_empty()).unwrap_or_else(|| file.name())
    };
    (0..files.length()).filter_map(|i| files.get(i)).map(|file| (name(&file), file)).collect()
}

/// What was dropped. Browsers tell only while the event lasts.
fn entries(transfer: &DataTransfer) -> Vec<FileSystemEntry> {
    let items = transfer.items();
    (0..items.length()).filter_map(|i| items.get(i)?.webkit_get_as_entry().ok().flatten()).collect()
}

/// The files that were dropped, and those in folders that were.
async fn files_of(entries: Vec<FileSystemEntry>) -> Vec<(String, File)> {
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_directory() {
            for inner in in_folder(entry.unchecked_ref()).await.into_iter().filter(FileSystemEntry::is_file) {
                files.extend(file_of(&inner).await);
            }
        } else {
            files.extend(file_of(&entry).await);
        }
    }
    files
}

async fn file_of(entry: &FileSystemEntry) -> Option<(String, File)> {
    let file = Promise::new(&mut |resolve, reject| {
        entry.unchecked_ref::<FileSystemFileEntry>().file_with_callback_and_callback(&resolve, &reject);
    });
    let file = JsFuture::from(file).await.ok()?.unchecked_into();
    Some((entry.full_path().trim_start_matches('/').to_owned(), file))
}

/// A folder is read until nothing more comes.
async fn in_folder(folder: &FileSystemDirectoryEntry) -> Vec<FileSystemEntry> {
    let reader = folder.create_reader();
    let mut all = Vec::new();
    loop {
        let some = Promise::new(&mut |resolve, reject| {
            if reader.read_entries_with_callback_and_callback(&resolve, &reject).is_err() {
                let _ = reject.call0(&JsValue::NULL);
            }
        });
        let some: Array = JsFuture::from(some).await.map(JsCast::unchecked_into).unwrap_or_default();
        if some.length() == 0 {
            return all;
        }
        all.extend(some.iter().map(FileSystemEntry::unchecked_from_js));
    }
}

fn progress(state: State, t: T) -> Option<impl IntoView> {
    let models = state.models;
    let fetching = models.fetching.get();
    let stop = move |_| state.tell_models(&ToModelWorker::Stop);
    match fetching {
        Some(fetching) => Some(view! {
            <div class="note">
                <p class="reading">{fill(t.models.fetching, &[("file", &fetching.file), ("done", &bytes(fetching.done)), ("all", &bytes(fetching.all))])}</p>
                <progress max=fetching.all.to_string() value=fetching.done.to_string() aria-label=t.models.address></progress>
                <button id="stop-fetching" type="button" on:click=stop>{t.models.stop}</button>
            </div>
        }.into_any()),
        None => models.is_busy.get().then(|| view! { <p class="note">{t.models.opening}</p> }.into_any()),
    }
}

/// The models that are kept in the browser.
fn kept(state: State, t: T) -> Option<impl IntoView> {
    let all = state.models.cached.get();
    (!all.is_empty()).then(|| {
        view! {
            <h3 id="kept-title">{t.models.kept}</h3>
            <ul id="kept" aria-labelledby="kept-title">{all.into_iter().map(|kept| one_cached(state, t, kept)).collect_view()}</ul>
        }
    })
}

fn one_cached(state: State, t: T, CachedModel { address, bytes: size, is_whole }: CachedModel) -> impl IntoView {
    let text = if is_whole { bytes(size) } else { fill(t.models.kept_part, &[("bytes", &bytes(size))]) };
    let (taken, forgotten) = (address.clone(), address.clone());
    let take = move |_| state.fetch_model(taken.clone());
    let forget = move |_| state.tell_models(&ToModelWorker::Forget(forgotten.clone()));
    view! {
        <li>
            <span>{address} <small>{text}</small></span>
            <button type="button" class="take" on:click=take>{if is_whole { t.models.take } else { t.models.go_on }}</button>
            <button type="button" class="forget" on:click=forget>{t.models.forget}</button>
        </li>
    }
}

/// The model that is open.
fn opened(state: State, t: T) -> Option<impl IntoView> {
    let opened = state.models.opened.get()?;
    let config = &opened.config;
    let about = fill(
        t.models.opened,
        &[
            ("name", &opened.origin.name()),
            ("family", &config.family().name),
            ("layers", &config.num_hidden_layers),
            ("width", &config.hidden_size),
            ("count", &whole(Parameters::new(config).elements())),
        ],
    );
    let close = move |_| state.close_model();
    Some(view! {
        <p class="note" id="opened">{about}" "
            <button id="use-seed" type="button" on:click=close>{t.model.use_seed}</button>
        </p>
    })
}

/// A note if sequences are longer than the model that is open was made for.
pub fn beyond_context(settings: Settings, models: Models, t: T) -> impl IntoView {
    let note = move || {
        let seq_len = settings.form.with(|form| form.get(Field::SeqLen).trim().parse::<u32>().ok())?;
        let beyond = models.opened.with(|opened| opened.as_ref()?.config.beyond_context(seq_len))?;
        let values: [(&str, &dyn Display); 4] = [
            ("length", &whole(u64::from(seq_len))),
            ("positions", &whole(beyond.positions)),
            ("field", &beyond.field),
            ("setting", &beyond.setting),
        ];
        Some(view! { <p class="note" id="beyond-context">{fill(t.models.beyond_context, &values)}</p> })
    };
    view! { <div role="status">{note}</div> }
}
