//! The slider of the sequence length, as long as the chart is wide, and a number beside it.

use leptos::prelude::*;

use super::drawn::Drawn;
use crate::web::form::Field;
use crate::web::i18n::{T, fill};
use crate::web::memory_curve::{place_of, tokens_at};
use crate::web::page::state::{Planner, Settings};

pub fn view(settings: Settings, t: T, planner: Planner, drawn: Memo<Option<Drawn>>) -> impl IntoView {
    let end = Memo::new(move |_| drawn.with(|drawn| drawn.as_ref().map_or(1 << 17, |drawn| drawn.chart.end)));
    let length = move || planner.shown_length();
    let spoken = move || fill(t.reach.tokens, &[("tokens", &length())]);
    let slide = move |value: String| {
        if let Ok(place) = value.parse() {
            planner.go_to(tokens_at(place));
        }
    };
    let typed = move || match planner.is_bound() {
        true => settings.form.with(|form| form.get(Field::SeqLen).to_owned()),
        false => length().to_string(),
    };
    let type_in = move |value: String| match value.trim().parse() {
        Ok(tokens) if tokens > 0 => planner.go_to(tokens),
        _ if untrack(|| planner.is_bound()) => settings.form.update(|form| form.set(Field::SeqLen, value)),
        _ => {}
    };
    let note = move || if planner.is_bound() { String::new() } else { t.reach.marker_only.to_owned() };
    view! {
        <div class="reach-length">
            <input id="reach-length" type="range" min="0" max=move || place_of(end.get()).to_string() step="1" aria-label=t.reach.seq_len
                aria-valuetext=spoken aria-describedby="reach-note" prop:value=move || place_of(length()).to_string()
                on:input=move |event| slide(event_target_value(&event))/>
            <label class="field" for="reach-number">{t.reach.seq_len_number}</label>
            <input id="reach-number" type="text" inputmode="numeric" autocomplete="off" prop:value=typed on:input=move |event| type_in(event_target_value(&event))/>
        </div>
        <p class="hint" id="reach-note">{note}</p>
    }
}
