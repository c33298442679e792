//! The runs that are saved in this browser: what they are, and buttons to go on with one or to forget it.

use js_sys::Date;
use leptos::prelude::*;

use crate::model::PRESETS;
use crate::model::archive::Kind;
use crate::step::Objective;
use crate::web::form::SourceChoice;
use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::model_protocol::Origin;
use crate::web::page::drawer::chooser;
use crate::web::page::state::State;
use crate::web::protocol::{About, Data, Run, SavedRun, ToWorker};

/// Lists the saved runs, and opens those of the program. While a run is in progress they are folded away.
pub fn view(state: State, t: T) -> impl IntoView {
    view! {
        {list(state, t)}
        {move || (!state.run.has_run.get()).then(|| open(state, t))}
    }
}

/// Opens a run of the program, from its directory or a zip.
fn open(state: State, t: T) -> impl IntoView {
    let is_busy = move || state.run.phase.get().is_busy() || state.models.is_busy.get();
    view! {
        <details id="open-run">
            <summary>{t.saving.open_run}</summary>
            <p class="hint">{t.saving.open_run_about}</p>
            <fieldset disabled=is_busy>
                {chooser(state, "open-run-folder", t.models.folder, Kind::Run, true)}
                {chooser(state, "open-run-zip", t.saving.open_run_zip, Kind::Run, false)}
            </fieldset>
        </details>
    }
}

fn list(state: State, t: T) -> impl IntoView {
    // The run that the visitor is asked about before it is forgotten.
    let asked = RwSignal::new(None::<String>);
    let list = move || {
        let runs = state.saves.saved.get();
        (!runs.is_empty()).then(|| {
            let title = fill(t.saving.saved_runs, &[("count", &runs.len())]);
            view! {
                <details id="saved-runs" prop:open=move || !state.run.has_run.get()>
                    <summary>{title}</summary>
                    <p class="hint">{move || state.run.has_run.get().then_some(t.saving.reset_first)}</p>
                    <ul>{runs.into_iter().map(|run| row(state, t, asked, run)).collect_view()}</ul>
                </details>
            }
        })
    };
    view! { {list} }
}

fn row(state: State, t: T, asked: RwSignal<Option<String>>, run: SavedRun) -> impl IntoView {
    let name = run.about.as_ref().map_or_else(|| t.saving.saved_unreadable.to_owned(), |about| name(t, &about.run));
    let details = match &run.about {
        Some(about) => details(state, t, about, run.bytes),
        None => bytes(run.bytes),
    };
    let (id, is_elsewhere, is_readable) = (run.id, run.is_elsewhere, run.about.is_some());
    let about = format!("{name}, {details}");
    let resume_label = format!("{}: {about}", t.saving.resume);
    let (own, resumed) = (id.clone(), id.clone());
    let is_asked = Memo::new(move |_| asked.with(|asked| asked.as_ref() == Some(&own)));
    let forget_text = move || if is_asked.get() { t.saving.forget_now } else { t.saving.forget };
    let forgotten = id.clone();
    let forget = move |_| {
        if is_asked.get_untracked() {
            asked.set(None);
            state.send(&ToWorker::Forget(forgotten.clone()));
        } else {
            asked.set(Some(forgotten.clone()));
        }
    };
    let cannot_resume = move || is_elsewhere || state.run.has_run.get() || state.run.phase.get().is_busy() || state.models.is_busy.get();
    view! {
        <li data-run=id data-elsewhere=is_elsewhere.to_string()>
            <span>{name} <small>{details}{is_elsewhere.then(|| format!(" · {}", t.saving.saved_elsewhere))}</small></span>
            {is_readable.then(|| view! {
                <button type="button" class="resume" aria-label=resume_label disabled=cannot_resume
                    on:click=move |_| state.resume(resumed.clone())>{t.saving.resume}</button>
            })}
            <button type="button" class="forget" aria-label=move || format!("{}: {about}", forget_text()) disabled=is_elsewhere
                on:click=forget>{forget_text}</button>
        </li>
    }
}

/// The model and the data of a run.
fn name(t: T, run: &Run) -> String {
    let preset = || PRESETS.iter().find(|preset| preset.config == run.spec.config).map_or(t.model.own_sizes, |preset| preset.name);
    let model = run.start.origin().map_or_else(preset, Origin::name);
    let data = match &run.data {
        Data::OwnSource => t.source(SourceChoice::OwnSource),
        Data::Stories(language) => t.source(SourceChoice::Stories(*language)),
        Data::Preferences(language) => t.source(SourceChoice::Preferences(*language)),
        Data::Task(kind, _) => t.source(SourceChoice::Task(*kind)),
        Data::Text(given) => &given.name,
    };
    let adapters = if run.spec.adapters().is_some() { " (LoRA)" } else { "" };
    let objective = match run.settings.objective {
        Objective::CrossEntropy => "",
        Objective::Dpo(_) => " (DPO)",
        Objective::Grpo(_) => " (GRPO)",
    };
    format!("{model}{adapters}, {data}{objective}")
}

/// How far a run is, when it was saved, and its size.
fn details(state: State, t: T, about: &About, size: u64) -> String {
    let date = Date::new(&about.saved_at.into()).to_locale_string(state.shell.language.get(), &wasm_bindgen::JsValue::UNDEFINED);
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("step", &whole(about.step)), ("steps", &whole(about.run.settings.steps)), ("date", &String::from(date)), ("bytes", &bytes(size))];
    fill(t.saving.saved_run, &values)
}
