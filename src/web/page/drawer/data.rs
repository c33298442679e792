//! What to learn from.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::DragEvent;

use super::{field, objective, text};
use crate::train::Summary;
use crate::web::blob;
use crate::web::form::{Field, SourceChoice};
use crate::web::format::whole;
use crate::web::i18n::{T, fill};
use crate::web::model_protocol::Vocabulary;
use crate::web::page::browser;
use crate::web::page::state::{Models, Settings, State};
use crate::web::protocol::TaskKind;

pub fn view(state: State, t: T) -> impl IntoView {
    let option = move |choice: SourceChoice| {
        let is_chosen = move || state.settings.form.with(|form| form.source == choice);
        view! { <option value=choice.name() prop:selected=is_chosen>{t.source(choice).to_owned()}</option> }
    };
    // A link may say one that does not go with its objective.
    let offered = Memo::new(move |_| {
        let (objective, source) = state.settings.form.with(|form| (form.objective, form.source));
        SourceChoice::ALL.into_iter().filter(|choice| choice.goes_with(objective) || *choice == source).collect::<Vec<_>>()
    });
    let choose = move |name: String| {
        let choice = SourceChoice::ALL.into_iter().find(|choice| choice.name() == name);
        state.settings.form.update(|form| form.set_source(choice.unwrap_or(form.source)));
    };
    let source = move || state.settings.form.with(|form| form.source);
    let is_far = move || matches!(source(), SourceChoice::Task(task) if task != TaskKind::Recall);
    let given = move || {
        let given = state.settings.text.get()?;
        let length = whole(given.size);
        Some(view! { <p class="hint" id="given">{fill(t.data.given, &[("name", &given.name), ("bytes", &length)])}</p> })
    };
    let read = move || {
        // There are no prompts in a page.
        let Summary { documents, tokens, labels, cut, without_labels, too_long: _ } = state.run.read.get()?;
        let read = fill(t.data.read, &[("documents", &whole(documents)), ("tokens", &whole(tokens)), ("labels", &whole(labels))]);
        let lost = [(cut, t.data.cut), (without_labels, t.data.without_labels)].into_iter().filter(|(count, _)| *count > 0);
        let lost = lost.map(|(count, sentence)| fill(sentence, &[("count", &whole(count))]));
        Some(view! { <p class="hint" id="read" role="status">{[read].into_iter().chain(lost).collect::<Vec<String>>().join(" ")}</p> })
    };
    view! {
        {objective::view(state.settings, t)}
        <label class="field" for="source">{t.data.source}</label>
        <select id="source" aria-describedby="source-about" on:change=move |event| choose(event_target_value(&event))>
            {move || offered.get().into_iter().map(option).collect_view()}
        </select>
        <p class="hint" id="source-about">{move || t.source_about(source()).to_owned()}</p>
        {vocabulary(state.settings, state.models, t)}
        <div class="fields" class:hidden=move || !is_far()>{field::view(state.settings, t, Field::Distance)}</div>
        {file(state, t)}
        {paste(state, t)}
        {given}
        {read}
    }
}

/// How text becomes tokens. What is generated is made of bytes.
fn vocabulary(settings: Settings, models: Models, t: T) -> impl IntoView {
    let chosen = move || settings.form.with(|form| form.vocabulary);
    let option = move |vocabulary: Vocabulary| {
        let is_none = move || vocabulary == Vocabulary::Model && !models.opened.with(|o| o.as_ref().is_some_and(|o| o.has_tokenizer));
        let is_chosen = move || chosen() == vocabulary;
        view! { <option value=vocabulary.name() prop:selected=is_chosen disabled=is_none>{t.vocabulary(vocabulary).to_owned()}</option> }
    };
    let is_task = move || settings.form.with(|form| matches!(form.source, SourceChoice::Task(_)) || form.source.language().is_some());
    view! {
        <div class:hidden=is_task>
            <label class="field" for="vocabulary">{t.data.vocabulary}</label>
            <select id="vocabulary" on:change=move |event| settings.form.update(|form| form.set_vocabulary(&event_target_value(&event)))>
                {Vocabulary::ALL.map(option)}
            </select>
        </div>
    }
}

/// A text that is pasted, or fetched from an address.
fn paste(state: State, t: T) -> impl IntoView {
    let area = NodeRef::<leptos::html::Textarea>::new();
    let address = NodeRef::<leptos::html::Input>::new();
    let use_paste = move |_| {
        let pasted = area.get_untracked().map(|area| area.value()).unwrap_or_default();
        if pasted.is_empty() {
            return state.show_error(t.failures.empty_paste);
        }
        spawn_local(text::take(state, t, t.data.paste.to_owned(), blob::of_bytes(pasted.as_bytes())));
    };
    let use_address = move |_| {
        let Some(address) = address.get_untracked().map(|input| input.value()) else { return };
        spawn_local(async move {
            match browser::fetch_file(&address).await {
                Some(fetched) => text::take(state, t, address, fetched).await,
                None => state.show_error(&fill(t.failures.not_fetched, &[("name", &address)])),
            }
        });
    };
    view! {
        <details>
            <summary>{t.data.paste}</summary>
            <textarea id="paste" node_ref=area rows="5" aria-label=t.data.paste></textarea>
            <button id="use-paste" type="button" on:click=use_paste>{t.data.use_paste}</button>
        </details>
        <details>
            <summary>{t.data.url}</summary>
            <input id="address" type="url" node_ref=address aria-label=t.data.url placeholder="https://"/>
            <button id="use-address" type="button" on:click=use_address>{t.data.use_url}</button>
        </details>
    }
}

/// A place to drop a file at, with a button to choose one.
fn file(state: State, t: T) -> impl IntoView {
    let over = RwSignal::new(false);
    let input = NodeRef::<leptos::html::Input>::new();
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        let files = event.data_transfer().and_then(|transfer| transfer.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            spawn_local(text::take(state, t, file.name(), file.into()));
        }
    };
    let chosen = move |_| {
        let Some(input) = input.get_untracked() else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            spawn_local(async move {
                text::take(state, t, file.name(), file.into()).await;
                // The same file can be chosen again then.
                input.set_value("");
            });
        }
    };
    view! {
        <label class="drop" class:over=move || over.get() for="file"
            on:dragover=move |event: DragEvent| { event.prevent_default(); over.set(true); }
            on:dragleave=move |_| over.set(false)
            on:drop=dropped>
            <span>{t.data.file}</span>
            <input id="file" type="file" node_ref=input on:change=chosen/>
        </label>
    }
}
