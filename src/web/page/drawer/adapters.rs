//! Whether everything learns or adapters do, and what these are.

use leptos::prelude::*;

use super::field;
use super::open_model::chooser;
use crate::model::archive::Kind;
use crate::model::{Dtype, Projection};
use crate::web::form::Group;
use crate::web::i18n::{T, fill};
use crate::web::model_protocol::ToModelWorker;
use crate::web::page::state::State;

pub fn view(state: State, t: T) -> impl IntoView {
    let has_adapters = move || state.settings.form.with(|form| form.has_adapters);
    let dtype = move |dtype: Dtype| {
        let is_chosen = move || state.settings.form.with(|form| form.frozen == dtype);
        view! { <option value=dtype.name() prop:selected=is_chosen>{dtype.name()}</option> }
    };
    let target = move |projection: Projection| {
        let is_target = move || state.settings.form.with(|form| form.targets.contains(&projection));
        view! {
            <label class="check"><input type="checkbox" name="target" value=projection.name() prop:checked=is_target
                on:change=move |_| state.settings.form.update(|form| form.toggle_target(projection))/>{projection.name()}</label>
        }
    };
    view! {
        <label class="field" for="learn">{t.models.learn}</label>
        <select id="learn" on:change=move |event| state.settings.form.update(|form| form.has_adapters = event_target_value(&event) == "lora")>
            <option value="full" prop:selected=move || !has_adapters()>{t.models.learn_full}</option>
            <option value="lora" prop:selected=has_adapters>{t.models.learn_lora}</option>
        </select>
        <p class="hint">{move || if has_adapters() { t.models.lora_about } else { t.models.full_about }}</p>
        <div class:hidden=move || !has_adapters()>
            {field::group(state.settings, t, Group::Adapters)}
            <label class="field" for="frozen">{t.models.frozen}</label>
            <select id="frozen" on:change=move |event| state.settings.form.update(|form| form.set_frozen(&event_target_value(&event)))>
                {Dtype::ALL.map(dtype)}
            </select>
            <fieldset class="targets"><legend>{t.models.targets}</legend>{Projection::ALL.map(target)}</fieldset>
            <label class="check"><input id="rslora" type="checkbox" prop:checked=move || state.settings.form.with(|form| form.use_rslora)
                on:change=move |event| state.settings.form.update(|form| form.use_rslora = event_target_checked(&event))/>{t.models.rslora}</label>
            {adapters(state, t)}
        </div>
    }
}

/// Adapters that are open on the model, and the way to open some.
fn adapters(state: State, t: T) -> impl IntoView {
    let models = state.models;
    let close = move |_| {
        models.adapters.set(None);
        state.tell_models(&ToModelWorker::CloseAdapters);
    };
    let open = move || {
        models.adapters.get().map(|lora| {
            view! {
                <p class="note" id="opened-adapters">{fill(t.models.opened_adapters, &[("rank", &lora.rank)])}" "
                    <button id="fresh-adapters" type="button" on:click=close>{t.models.fresh_adapters}</button>
                </p>
            }
        })
    };
    let has_model = move || models.opened.with(Option::is_some);
    view! {
        {open}
        {move || has_model().then(|| chooser(state, "import-adapters", t.models.adapters, Kind::Adapters, false))}
    }
}
