//! Preferences: the rewards of pairs over the steps, a held-out pair side by side, and the margins of all held-out pairs.

use leptos::prelude::*;

use super::curves;
use crate::train::TokenScore;
use crate::web::axis::{SIDE, Scale, number};
use crate::web::charts::visible;
use crate::web::format::{signed, whole};
use crate::web::histogram::Histogram;
use crate::web::i18n::{T, fill};
use crate::web::page::components::axes;
use crate::web::page::state::RunState;
use crate::web::protocol::PairsView;

/// The log-ratio that has the full colour, in nats.
const FULL: f32 = 4.0;

/// Nothing as long as no pairs were compared.
pub fn view(run: RunState, t: T) -> impl IntoView {
    let has_pairs = Memo::new(move |_| run.history.with(|history| !history.pairs.is_empty()));
    move || {
        has_pairs.get().then(|| {
            view! {
                <section id="pairs" aria-labelledby="pairs-title" data-margins=move || margins_so_far(run)>
                    <h2 id="pairs-title">{t.training.pairs}</h2>
                    {move || curves::rewards(run, t)}
                    {move || run.pairs.get().map(|(step, pairs)| held_out(t, step, &pairs))}
                </section>
            }
        })
    }
}

fn margins_so_far(run: RunState) -> String {
    let margins = run.history.with(|history| history.pairs.iter().map(|(_, of_pairs)| of_pairs.margin.to_string()).collect::<Vec<_>>());
    format!("[{}]", margins.join(","))
}

fn held_out(t: T, step: u64, pairs: &PairsView) -> impl IntoView + use<> {
    view! {
        <h3>{t.training.held_out_pair}</h3>
        <p class="hint">{fill(t.training.held_out_pair_about, &[("step", &whole(step))])}</p>
        <div class="pair" data-step=step>
            <pre class="pair-prompt" tabindex="0" aria-label=t.training.prompt><span>{pairs.prompt.clone()}</span></pre>
            {answer(t, "chosen", t.training.chosen, &pairs.answers[0])}
            {answer(t, "rejected", t.training.rejected, &pairs.answers[1])}
        </div>
        {margins(t, &pairs.margins)}
    }
}

/// An answer, each of its pieces in a colour that says how much likelier it is than by the reference.
fn answer(t: T, id: &'static str, name: &'static str, pieces: &[(String, Option<TokenScore>)]) -> impl IntoView + use<> {
    let sum: f32 = pieces.iter().filter_map(|(_, score)| score.as_ref()).map(|score| score.log_ratio).sum();
    let of_pair = fill(t.training.log_ratio_of, &[("log-ratio", &signed(sum, 3))]);
    let piece = |(text, score): &(String, Option<TokenScore>)| {
        let Some(TokenScore { log_prob, log_ratio, weight }) = *score else { return view! { <span>{text.clone()}</span> }.into_any() };
        let shown: String = text.chars().map(visible).collect();
        let values: [(&str, &dyn std::fmt::Display); 4] = [
            ("text", &shown),
            ("log-ratio", &signed(log_ratio, 3)),
            ("log-prob", &format!("{log_prob:.3}")),
            ("weight", &signed(weight, 3)),
        ];
        let colour = if log_ratio < 0.0 { "var(--validation)" } else { "var(--training)" };
        let share = format!("{:.0}%", 100.0 * (log_ratio.abs() / FULL).min(1.0).sqrt());
        view! { <span style:--tint=colour style:--share=share data-log-ratio=log_ratio.to_string() data-tip=fill(t.training.scored, &values)>{text.clone()}</span> }
            .into_any()
    };
    let plain: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
    view! {
        <div class="pair-answer" data-answer=id>
            <h4 id=format!("answer-{id}")>{name}<small>{of_pair}</small></h4>
            <pre tabindex="0" role="group" aria-labelledby=format!("answer-{id}") data-tip-of="[data-tip]" data-tip-keys>
                <span class="unseen">{plain}</span>
                <span class="scored" aria-hidden="true">{pieces.iter().map(piece).collect_view()}</span>
            </pre>
        </div>
    }
}

/// How many held-out pairs have which margin.
fn margins(t: T, margins: &[f64]) -> impl IntoView + use<> {
    let histogram = Histogram::of(margins);
    let counts = Scale::counts(0, histogram.counts.iter().copied().max().unwrap_or(0));
    let zero = histogram.scale.share(0.0);
    let bar = |(bar, &count): (usize, &u64)| {
        let ([from, to], share) = (histogram.ends(bar), counts.share(count as f64));
        let class = if to <= zero + 1e-9 { "negative" } else { "positive" };
        view! { <rect class=class x=SIDE * from + 2.0 width=SIDE * (to - from) - 4.0 y=SIDE * (1.0 - share) height=SIDE * share/> }
    };
    let bars = histogram.counts.iter().enumerate().map(bar).collect_view();
    let right = margins.iter().filter(|margin| **margin > 0.0).count();
    let words = fill(t.training.margins_text, &[("right", &right), ("count", &margins.len())]);
    view! {
        <h3>{t.training.margins}</h3>
        <p class="hint">{words.clone()}</p>
        <div id="margins" class="curve histogram" role="img" aria-label=words data-count=margins.len()>
            {axes::y_labels(&counts, |count| whole(count as u64))}
            {axes::x_labels(&histogram.scale, number)}
            <svg viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" aria-hidden="true">
                {axes::grid(None, Some(&counts))}
                {bars}
                <line class="zero" y1="0" y2=SIDE x1=SIDE * zero x2=SIDE * zero/>
            </svg>
        </div>
        <p class="axis-name" aria-hidden="true">"rewards/margins"</p>
    }
}
