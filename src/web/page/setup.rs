//! The form: what to learn from, which model, how the step is walked.

use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DragEvent, File};

use super::state::State;
use crate::model::{PRESETS, Preset};
use crate::step::StrategyKind;
use crate::web::form::{Form, SourceChoice, rounded_up};
use crate::web::texts;

pub fn view(state: State) -> impl IntoView {
    view! {
        <section aria-labelledby="data-title">
            <h2 id="data-title">{texts::DATA}</h2>
            {move || state.has_run.get().then(|| view! { <p class="note">{texts::LOCKED}</p> })}
            <fieldset disabled=move || state.has_run.get()>{data(state)}</fieldset>
        </section>
        <section aria-labelledby="model-title">
            <h2 id="model-title">{texts::MODEL}</h2>
            <fieldset class="fields" disabled=move || state.has_run.get()>{model(state)}</fieldset>
        </section>
    }
}

fn data(state: State) -> impl IntoView {
    let option = move |choice: SourceChoice| {
        let is_chosen = move || state.form.with(|form| form.source == choice);
        view! { <option value=choice.name() prop:selected=is_chosen>{texts::source(choice)}</option> }
    };
    let choose = move |name: String| {
        let choice = SourceChoice::ALL.into_iter().find(|choice| choice.name() == name);
        state.form.update(|form| form.source = choice.unwrap_or(form.source));
    };
    let paste = NodeRef::<leptos::html::Textarea>::new();
    let use_paste = move |_| {
        let text = paste.get_untracked().map(|area| area.value()).unwrap_or_default();
        if text.is_empty() {
            return state.error.set(Some(texts::EMPTY_PASTE.to_owned()));
        }
        state.take_text("pasted text".to_owned(), text);
    };
    view! {
        <label class="field" for="source">{texts::SOURCE}</label>
        <select id="source" aria-describedby="source-about" on:change=move |event| choose(event_target_value(&event))>
            {SourceChoice::ALL.map(option)}
        </select>
        <p class="hint" id="source-about">{move || texts::source_about(state.form.with(|form| form.source))}</p>
        {file(state)}
        <details>
            <summary>{texts::PASTE}</summary>
            <textarea id="paste" node_ref=paste rows="5" aria-label=texts::PASTE></textarea>
            <button id="use-paste" type="button" on:click=use_paste>{texts::USE_PASTE}</button>
        </details>
        {move || state.text.with(|text| text.as_ref().map(|given| {
            view! { <p class="hint" id="given">{texts::given(&given.name, given.text.len())}</p> }
        }))}
    }
}

/// A place to drop a file at, with a button to choose one.
fn file(state: State) -> impl IntoView {
    let over = RwSignal::new(false);
    let input = NodeRef::<leptos::html::Input>::new();
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        if state.has_run.get_untracked() {
            return state.error.set(Some(texts::RUN_IN_PROGRESS.to_owned()));
        }
        let files = event.data_transfer().and_then(|transfer| transfer.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            spawn_local(read(state, file));
        }
    };
    let chosen = move |_| {
        let Some(input) = input.get_untracked() else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            spawn_local(async move {
                read(state, file).await;
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
            <span>{texts::FILE}</span>
            <input id="file" type="file" node_ref=input on:change=chosen/>
        </label>
    }
}

async fn read(state: State, file: File) {
    let name = file.name();
    let Ok(buffer) = JsFuture::from(file.array_buffer()).await else {
        return state.error.set(Some(texts::unreadable(&name)));
    };
    match String::from_utf8(js_sys::Uint8Array::new(&buffer).to_vec()) {
        Ok(text) => state.take_text(name, text),
        Err(_) => state.error.set(Some(texts::not_utf8(&name))),
    }
}

fn model(state: State) -> impl IntoView {
    let preset = move |preset: &'static Preset| {
        let is_chosen = move || state.form.with(|form| form.preset == preset.name);
        view! { <option value=preset.name prop:selected=is_chosen>{preset.name}</option> }
    };
    let strategy = move |kind: StrategyKind| {
        let is_chosen = move || state.form.with(|form| form.strategy == kind);
        view! { <option value=kind.name() prop:selected=is_chosen>{kind.name()}</option> }
    };
    let choose_strategy = move |name: String| state.form.update(|form| form.strategy = name.parse().unwrap_or(form.strategy));
    view! {
        <div class="wide">
            <label class="field" for="preset">{texts::PRESET}</label>
            <select id="preset" aria-describedby="preset-about" on:change=move |event| state.form.update(|form| form.preset = event_target_value(&event))>
                {PRESETS.iter().map(preset).collect_view()}
            </select>
            <p class="hint" id="preset-about">{move || about(&state.form.with(|form| form.preset.clone()))}</p>
        </div>
        <div class="wide">
            <label class="field" for="strategy">{texts::STRATEGY}</label>
            <select id="strategy" aria-describedby="strategy-about" on:change=move |event| choose_strategy(event_target_value(&event))>
                {StrategyKind::ALL.map(strategy)}
            </select>
            <p class="hint" id="strategy-about">{move || texts::strategy_about(state.form.with(|form| form.strategy))}</p>
        </div>
        {number(state, "seq-len", texts::SEQ_LEN, |form| &mut form.seq_len)}
        {number(state, "batch", texts::BATCH, |form| &mut form.batch)}
        {chunk(state, "chunk", texts::CHUNK, |form| &mut form.chunk)}
        {chunk(state, "logits-chunk", texts::LOGITS_CHUNK, |form| &mut form.logits_chunk)}
        {number(state, "learning-rate", texts::LEARNING_RATE, |form| &mut form.learning_rate)}
        {number(state, "steps", texts::STEPS, |form| &mut form.steps)}
        {number(state, "sample-every", texts::SAMPLE_EVERY, |form| &mut form.sample_every)}
        <div>
            <label class="field" for="prompt">{texts::PROMPT}</label>
            <input id="prompt" type="text" prop:value=move || state.form.with(|form| form.prompt.clone())
                on:input=move |event| state.form.update(|form| form.prompt = event_target_value(&event))/>
        </div>
    }
}

fn about(preset: &str) -> &'static str {
    Preset::named(preset).map_or("", |preset| preset.about)
}

/// The field of the form that a control edits.
type Field = fn(&mut Form) -> &mut String;

fn number(state: State, id: &'static str, label: &'static str, field: Field) -> impl IntoView {
    view! { <div><label class="field" for=id>{label}</label>{input(state, id, field, None)}</div> }
}

/// A number that says what it is rounded to.
fn chunk(state: State, id: &'static str, label: &'static str, field: Field) -> impl IntoView {
    let hint_id = format!("{id}-hint");
    let hint = move || match state.form.with(|form| form.strategy) {
        StrategyKind::Stream => rounded_up(&typed(state, field)).map_or_else(String::new, texts::rounded),
        _ => texts::CHUNKS_UNUSED.to_owned(),
    };
    view! {
        <div>
            <label class="field" for=id>{label}</label>
            {input(state, id, field, Some(hint_id.clone()))}
            <p class="hint" id=hint_id>{hint}</p>
        </div>
    }
}

fn input(state: State, id: &'static str, field: Field, hint: Option<String>) -> impl IntoView {
    view! {
        <input id=id type="number" aria-describedby=hint min="0" step="any" inputmode="decimal" prop:value=move || typed(state, field)
            on:input=move |event| state.form.update(|form| *field(form) = event_target_value(&event))/>
    }
}

fn typed(state: State, field: Field) -> String {
    field(&mut state.form.get()).clone()
}
