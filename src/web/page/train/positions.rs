//! The validation loss by the number of tokens that a label follows: what a long context is worth.

use leptos::prelude::*;

use crate::train::LossAtPositions;
use crate::web::format::{digits, whole};
use crate::web::i18n::T;
use crate::web::page::state::RunState;

pub fn view(run: RunState, t: T) -> impl IntoView {
    // A step without a validation draws nothing anew.
    let last = Memo::new(move |_| run.history.with(|history| history.validations.last().map(|(_, last)| last.by_position.clone())));
    view! {
        <details id="by-position">
            <summary>{t.training.by_position}</summary>
            <p class="hint">{t.training.by_position_about}</p>
            {move || last.get().map(|by_position| table(t, &by_position))}
        </details>
    }
}

fn table(t: T, by_position: &[LossAtPositions]) -> impl IntoView + use<> {
    let row = |at: &LossAtPositions| {
        let before = if at.from == at.to { whole(at.from) } else { format!("{}–{}", whole(at.from), whole(at.to)) };
        let cells = [format!("{:.4}", at.loss), digits(at.perplexity), whole(at.labels)];
        view! { <tr><th scope="row">{before}</th>{cells.map(|cell| view! { <td>{cell}</td> })}</tr> }
    };
    let texts = &t.training;
    let columns = [texts.tokens_before, texts.loss, texts.perplexity, texts.labels];
    view! {
        <table>
            <caption class="unseen">{texts.by_position}</caption>
            <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
            <tbody>{by_position.iter().map(row).collect_view()}</tbody>
        </table>
    }
}
