//! The form: what to learn from, which model, how the step is walked.

use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::DragEvent;

use super::state::State;
use super::{T, browser, open_model, saved_activations, text};
use crate::model::{PRESETS, Parameters, Preset};
use crate::step::{SavedActivations, StrategyKind};
use crate::train::Summary;
use crate::web::blob;
use crate::web::form::{Field, Form, Group, SourceChoice, rounded_up};
use crate::web::format::{sentence, whole};
use crate::web::i18n::fill;
use crate::web::model_protocol::Vocabulary;
use crate::web::protocol::TaskKind;

pub fn view(state: State, t: T) -> impl IntoView {
    let is_locked = move || state.has_run.get();
    view! {
        <section aria-labelledby="data-title">
            <h2 id="data-title">{t.data.title}</h2>
            {move || is_locked().then(|| view! { <p class="note">{t.data.locked}</p> })}
            <fieldset disabled=is_locked>{data(state, t)}</fieldset>
        </section>
        <section aria-labelledby="model-title">
            <h2 id="model-title">{t.model.title}</h2>
            <fieldset disabled=is_locked>{model(state, t)}</fieldset>
        </section>
    }
}

fn data(state: State, t: T) -> impl IntoView {
    let option = move |choice: SourceChoice| {
        let is_chosen = move || state.form.with(|form| form.source == choice);
        view! { <option value=choice.name() prop:selected=is_chosen>{t.source(choice).to_owned()}</option> }
    };
    let choose = move |name: String| {
        let choice = SourceChoice::ALL.into_iter().find(|choice| choice.name() == name);
        state.form.update(|form| form.source = choice.unwrap_or(form.source));
    };
    let source = move || state.form.with(|form| form.source);
    let is_far = move || matches!(source(), SourceChoice::Task(task) if task != TaskKind::Recall);
    let given = move || {
        let given = state.text.get()?;
        let length = whole(given.size);
        Some(view! { <p class="hint" id="given">{fill(t.data.given, &[("name", &given.name), ("bytes", &length)])}</p> })
    };
    let read = move || {
        let Summary { documents, tokens, labels, cut, without_labels } = state.read.get()?;
        let read = fill(t.data.read, &[("documents", &whole(documents)), ("tokens", &whole(tokens)), ("labels", &whole(labels))]);
        let lost = [(cut, t.data.cut), (without_labels, t.data.without_labels)].into_iter().filter(|(count, _)| *count > 0);
        let lost = lost.map(|(count, sentence)| fill(sentence, &[("count", &whole(count))]));
        Some(view! { <p class="hint" id="read" role="status">{[read].into_iter().chain(lost).collect::<Vec<String>>().join(" ")}</p> })
    };
    view! {
        <label class="field" for="source">{t.data.source}</label>
        <select id="source" aria-describedby="source-about" on:change=move |event| choose(event_target_value(&event))>
            {SourceChoice::ALL.map(option)}
        </select>
        <p class="hint" id="source-about">{move || t.source_about(source()).to_owned()}</p>
        {vocabulary(state, t)}
        <div class="fields" class:hidden=move || !is_far()>{number(state, t, Field::Distance)}</div>
        {file(state, t)}
        {paste(state, t)}
        {given}
        {read}
    }
}

/// How text becomes tokens. Generated tasks are made of bytes.
fn vocabulary(state: State, t: T) -> impl IntoView {
    let chosen = move || state.form.with(|form| form.vocabulary);
    let option = move |vocabulary: Vocabulary| {
        let is_none = move || vocabulary == Vocabulary::Model && !state.models.opened.with(|o| o.as_ref().is_some_and(|o| o.has_tokenizer));
        let is_chosen = move || chosen() == vocabulary;
        view! { <option value=vocabulary.name() prop:selected=is_chosen disabled=is_none>{t.vocabulary(vocabulary).to_owned()}</option> }
    };
    let is_task = move || state.form.with(|form| matches!(form.source, SourceChoice::Task(_)));
    view! {
        <div class:hidden=is_task>
            <label class="field" for="vocabulary">{t.data.vocabulary}</label>
            <select id="vocabulary" on:change=move |event| state.form.update(|form| form.set_vocabulary(&event_target_value(&event)))>
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

fn model(state: State, t: T) -> impl IntoView {
    let preset = move |preset: &'static Preset| {
        let is_chosen = move || state.form.with(|form| form.preset == preset.name);
        view! { <option value=preset.name prop:selected=is_chosen>{preset.name}</option> }
    };
    let choose_preset = move |name: String| {
        if let Some(preset) = Preset::named(&name) {
            state.models.close(state);
            state.form.update(|form| form.take_preset(preset));
        }
    };
    let is_own = move || state.form.with(|form| form.preset.is_empty());
    let strategy = move |kind: StrategyKind| {
        let is_chosen = move || state.form.with(|form| form.strategy == kind);
        view! { <option value=kind.name() prop:selected=is_chosen>{kind.name()}</option> }
    };
    let choose_strategy = move |name: String| {
        state.form.update(|form| {
            (form.strategy, form.saved_activations, form.offload) = (name.parse().unwrap_or(form.strategy), SavedActivations::NONE, false);
        });
    };
    view! {
        <label class="field" for="preset">{t.model.preset}</label>
        <select id="preset" aria-describedby="preset-about" on:change=move |event| choose_preset(event_target_value(&event))>
            {PRESETS.iter().map(preset).collect_view()}
            <option value="" prop:selected=is_own disabled>{t.model.own_sizes}</option>
        </select>
        <p class="hint" id="preset-about">{move || parameters(state, t)}</p>
        {open_model::view(state, t)}
        {open_model::learning(state, t)}
        <label class="field" for="strategy">{t.model.strategy}</label>
        <select id="strategy" aria-describedby="strategy-about" on:change=move |event| choose_strategy(event_target_value(&event))>
            {StrategyKind::ALL.map(strategy)}
        </select>
        <p class="hint" id="strategy-about">{move || t.strategy(state.form.with(|form| form.strategy)).to_owned()}</p>
        {group(state, t, Group::Step)}
        {open_model::beyond_context(state, t)}
        {saved_activations::view(state, t)}
        <details><summary>{t.model.sizes}</summary>{group(state, t, Group::Sizes)} {tied(state, t)}</details>
        <details><summary>{t.model.hyper_parameters}</summary>{group(state, t, Group::Training)}</details>
        <details><summary>{t.model.watching}</summary>{group(state, t, Group::Watch)}</details>
    }
}

/// The fields that stand together.
pub fn group(state: State, t: T, group: Group) -> impl IntoView {
    let fields = Field::ALL.iter().copied().filter(move |field| field.group() == group);
    view! { <div class="fields">{fields.map(|field| number(state, t, field)).collect_view()}</div> }
}

/// The number of the model's parameters, and how many of them learn.
fn parameters(state: State, t: T) -> String {
    let counts = |form: &Form| {
        let parameters = Parameters::new(&form.plan().ok()?.spec);
        Some((parameters.elements(), parameters.trainable().map(|(_, parameter)| parameter.elements() as u64).sum::<u64>()))
    };
    state.form.with(counts).map_or_else(String::new, |(count, learn)| {
        let text = if learn < count { t.model.parameters_learn } else { t.model.parameters };
        fill(text, &[("count", &whole(count)), ("learn", &whole(learn))])
    })
}

fn tied(state: State, t: T) -> impl IntoView {
    let is_tied = move || state.form.with(|form| form.tied);
    view! {
        <label class="check"><input id="tied" type="checkbox" prop:checked=is_tied
            on:change=move |event| state.form.update(|form| form.tied = event_target_checked(&event))/>
            {t.model.tied}
        </label>
    }
}

/// A field with its name, what it is, and, for chunks, what it is rounded to.
fn number(state: State, t: T, field: Field) -> impl IntoView {
    let name = field.name();
    let [hint_id, problem_id] = ["hint", "problem"].map(|part| format!("{name}-{part}"));
    let problem = Memo::new(move |_| state.form.with(|form| form.problem(field)));
    let described = format!("{problem_id} {hint_id}");
    let is_chunk = matches!(field, Field::Chunk | Field::LogitsChunk);
    let hint = move || match state.form.with(|form| (form.strategy, rounded_up(form.get(field)))) {
        (StrategyKind::Stream, Some(length)) if is_chunk => fill(t.model.rounded, &[("length", &length)]),
        (StrategyKind::Standard | StrategyKind::Checkpoint, _) if is_chunk => t.model.chunks_unused.to_owned(),
        _ => t.field_about(field).to_owned(),
    };
    // Browsers give out nothing of a number while it is typed ("0." is none yet), so that it could not be kept.
    let mode = if field == Field::Prompt { "text" } else { "decimal" };
    let type_in = move |value: String| {
        state.form.update(|form| {
            form.set(field, value);
            if field.group() == Group::Sizes {
                form.preset =
                    PRESETS.iter().find(|p| form.plan().is_ok_and(|plan| plan.spec.config == p.config)).map_or("", |p| p.name).to_owned();
            }
        });
    };
    view! {
        <div>
            <label class="field" for=name>{t.field(field).to_owned()}</label>
            <input id=name type="text" inputmode=mode autocomplete="off" aria-describedby=described
                aria-invalid=move || problem.with(Option::is_some).then_some("true")
                prop:value=move || state.form.with(|form| form.get(field).to_owned())
                on:input=move |event| type_in(event_target_value(&event))/>
            <p class="problem" id=problem_id role="alert">{move || problem.with(|problem| problem.as_deref().map(sentence))}</p>
            <p class="hint" id=hint_id>{hint}</p>
        </div>
    }
}
