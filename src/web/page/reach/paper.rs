//! The paper's sequence lengths beside ours, for every model and GPU of which it reports some.

use leptos::prelude::*;

use crate::model::PUBLISHED;
use crate::web::format::{digits, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::state::Planner;
use crate::web::published::{CHUNK, COMPARISONS, Comparison, Lengths, PAPER, RANK};

pub fn view(t: T, planner: Planner) -> impl IntoView {
    let titles = |class: &'static str| [t.reach.planned, t.reach.reported].map(|title| view! { <th scope="col" class=class>{title}</th> });
    let group = |title: String, class: &'static str| view! { <th scope="colgroup" colspan="2" class=class>{title}</th> };
    let ratio = fill(t.reach.ratio, &[("stream", &"stream"), ("checkpoint", &"checkpoint")]);
    view! {
        <div class="paper">
            <h3 id="paper-title">{t.reach.paper_title}</h3>
            <p class="hint">{fill(t.reach.paper_about, &[("rank", &RANK), ("chunk", &CHUNK)])}
                " "<a href=PAPER target="_blank" rel="noopener">"Luo et al., 2025, arXiv 2506.03077"</a></p>
            <table id="paper-lengths" tabindex="0" aria-labelledby="paper-title">
                <thead>
                    <tr>
                        <th scope="col" rowspan="2">{t.reach.model}</th>
                        {group("checkpoint".to_owned(), "")} {group("stream".to_owned(), "")} {group(ratio, "where-wide")}
                    </tr>
                    <tr>{titles("")} {titles("")} {titles("where-wide")}</tr>
                </thead>
                <tbody>{COMPARISONS.iter().map(|comparison| row(t, planner, comparison)).collect_view()}</tbody>
            </table>
            <p class="hint" id="paper-differs">{t.reach.differs}</p>
        </div>
    }
}

fn row(t: T, planner: Planner, comparison: &'static Comparison) -> impl IntoView {
    let Comparison { model, gib, checkpoint, stream } = *comparison;
    let length = |tokens: Option<u32>| tokens.map_or_else(|| "–".to_owned(), |tokens| whole(u64::from(tokens)));
    let cells = |lengths: Lengths| {
        view! { <td>{length(Some(lengths.planned))}</td><td class="reported">{length(lengths.reported)}</td> }
    };
    let times = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{}×", digits(ratio)));
    let (planned, reported) = comparison.ratios();
    let show = move |_| {
        let preset = PUBLISHED.iter().find(|preset| preset.name == model).expect("the paper's models are published");
        planner.show(preset, gib);
    };
    view! {
        <tr data-model=model data-gib=gib>
            <th scope="row"><button class="look" type="button" aria-label=fill(t.reach.show, &[("model", &model), ("gib", &gib)]) on:click=show>{model}</button>
                <small>{format!("{gib} GiB")}</small></th>
            {cells(checkpoint)} {cells(stream)}
            <td class="where-wide">{times(Some(planned))}</td><td class="where-wide reported">{times(reported)}</td>
        </tr>
    }
}
