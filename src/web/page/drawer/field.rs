//! A field of the form.

use leptos::prelude::*;

use crate::gpu::DeviceClass;
use crate::model::PRESETS;
use crate::step::StrategyKind;
use crate::train::{AutoChunk, ChunkBound, ChunkLength};
use crate::web::form::{Field, Form, Group, ObjectiveChoice, rounded_up};
use crate::web::format::sentence;
use crate::web::i18n::{T, fill};
use crate::web::page::state::Settings;

/// The fields that stand together.
pub fn group(settings: Settings, t: T, group: Group) -> impl IntoView {
    let fields = Field::ALL.iter().copied().filter(move |field| field.group() == group);
    view! { <div class="fields">{fields.map(|field| view(settings, t, field)).collect_view()}</div> }
}

/// What the chunk length `auto` is now, and why. `None` if the field has a number.
fn chosen_chunk(settings: Settings, t: T, field: Field) -> Option<String> {
    let [_, logits_chunk] = settings.form.with(Form::chunks).ok()?;
    let plan = settings.plan.get().ok()?;
    match field {
        Field::Chunk => plan.auto.map(|AutoChunk { chunk, bound }| fill(why(settings, t, bound), &[("length", &chunk)])),
        _ if logits_chunk == ChunkLength::Auto => Some(fill(t.model.auto_logits, &[("length", &plan.chunks[1])])),
        _ => None,
    }
}

fn why(settings: Settings, t: T, bound: ChunkBound) -> &'static str {
    match bound {
        ChunkBound::Adapter if settings.adapter.get().speed == DeviceClass::TYPICAL.speed() => t.model.auto_unmeasured,
        ChunkBound::Adapter => t.model.auto_adapter,
        ChunkBound::Batch => t.model.auto_batch,
        ChunkBound::Most => t.model.auto_most,
        ChunkBound::Budget => t.model.auto_budget,
    }
}

/// A field with its name, what it is, and, for chunks, what it is rounded to.
pub fn view(settings: Settings, t: T, field: Field) -> impl IntoView {
    let name = field.name();
    let [hint_id, problem_id] = ["hint", "problem"].map(|part| format!("{name}-{part}"));
    let problem = Memo::new(move |_| settings.form.with(|form| form.problem(field)));
    let described = format!("{problem_id} {hint_id}");
    let is_chunk = matches!(field, Field::Chunk | Field::LogitsChunk);
    let is_of_stream = is_chunk || field == Field::LayerGroup;
    let chosen = Memo::new(move |_| if is_chunk { chosen_chunk(settings, t, field) } else { None });
    let hint = move || match settings.form.with(|form| (form.strategy, rounded_up(form.get(field)))) {
        (StrategyKind::Stream, Some(length)) if is_chunk => fill(t.model.rounded, &[("length", &length)]),
        (StrategyKind::Standard | StrategyKind::Checkpoint, _) if is_of_stream => t.model.chunks_unused.to_owned(),
        _ => chosen.get().unwrap_or_else(|| t.field_about(field).to_owned()),
    };
    // Browsers give out nothing of a number while it is typed ("0." is none yet), so that it could not be kept.
    let mode = if matches!(field, Field::Prompt | Field::Rewards) || is_chunk { "text" } else { "decimal" };
    let label = move || match settings.form.with(|form| form.objective) {
        ObjectiveChoice::Dpo if field == Field::Batch => t.data.pairs_in_batch.to_owned(),
        ObjectiveChoice::Grpo if field == Field::Batch => t.data.completions_in_batch.to_owned(),
        _ => t.field(field).to_owned(),
    };
    let type_in = move |value: String| {
        settings.form.update(|form| {
            form.set(field, value);
            if field.group() == Group::Sizes {
                form.preset =
                    PRESETS.iter().find(|p| form.spec().is_ok_and(|spec| spec.config == p.config)).map_or("", |p| p.name).to_owned();
            }
        });
    };
    view! {
        <div>
            <label class="field" for=name>{label}</label>
            <input id=name type="text" inputmode=mode autocomplete="off" aria-describedby=described
                aria-invalid=move || problem.with(Option::is_some).then_some("true")
                prop:value=move || settings.form.with(|form| form.get(field).to_owned())
                on:input=move |event| type_in(event_target_value(&event))/>
            <p class="problem" id=problem_id role="alert">{move || problem.with(|problem| problem.as_deref().map(sentence))}</p>
            <p class="hint" id=hint_id>{hint}</p>
        </div>
    }
}
