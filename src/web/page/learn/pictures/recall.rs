//! What is learned of facts that lie far back: the share of answers that the model is sure of, over the steps, with the facts and without, and where the last
//! question looks.

use leptos::prelude::*;

use super::controls::slider;
use crate::web::axis::{Axes, SIDE, Scale};
use crate::web::format::whole;
use crate::web::i18n::{T, fill};
use crate::web::lesson::{RecallRun, Words};
use crate::web::page::components::axes;
use crate::web::page::state::LessonState;

pub fn view(lesson: LessonState, t: T, words: &'static Words) -> impl IntoView {
    let run =
        move || lesson.recorded.with(|recorded| recorded.as_ref().and_then(|recorded| recorded.recall.get(lesson.distance.get()).cloned()));
    let last = move || lesson.recorded.with(|recorded| recorded.as_ref().map_or(0, |recorded| recorded.recall.len().saturating_sub(1)));
    let text = move || {
        run().map_or_else(String::new, |run| fill(t.learn.tokens_back, &[("tokens", &whole(u64::from(run.tokens - run.tokens / 4)))]))
    };
    let note = move || {
        lesson.recorded.with(|recorded| recorded.as_ref().map(|recorded| fill(t.learn.recorded, &[("adapter", &recorded.adapter)])))
    };
    view! {
        {move || run().map(|run| picture(t, &run, lesson.is_revealed()))}
        {move || slider(words, last(), move || lesson.distance.get(), text, move |place| lesson.distance.set(place))}
        <p class="hint" id="measured-where">{note}</p>
    }
}

/// What is asked for is drawn once it is known.
fn picture(t: T, run: &RecallRun, is_known: bool) -> impl IntoView + use<> {
    let steps = run.whole.last().map_or(1, |(step, _)| *step);
    let scales = Axes { x: Scale::counts(0, steps), y: Scale::linear(0.0, 1.0) };
    let line = |points: &[(u64, f64)]| points.iter().map(|&(step, share)| scales.point(step as f64, share)).collect::<Vec<_>>().join(" ");
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let end = |points: &[(u64, f64)], name: &str| format!("{name}: {}", percent(points.last().map_or(0.0, |point| point.1)));
    let cut = is_known.then(|| end(&run.cut, t.learn.cut));
    let label = [end(&run.whole, t.learn.whole)].into_iter().chain(cut).collect::<Vec<_>>().join("; ");
    let cell = |weight: &f32| view! { <i style:opacity=format!("{:.3}", weight.sqrt())></i> };
    view! {
        <ul class="legend"><li class="line-training">{t.learn.whole}</li>{is_known.then(|| view! { <li class="line-validation">{t.learn.cut}</li> })}</ul>
        <div class="curve" role="img" aria-label=label>
            {axes::y_labels(&scales.y, |share| format!("{:.0} %", 100.0 * share))}
            {axes::x_labels(&scales.x, |step| whole(step as u64))}
            <svg viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" aria-hidden="true">
                {axes::grid(Some(&scales.x), Some(&scales.y))}
                {is_known.then(|| view! { <polyline class="line-validation" points=line(&run.cut)/> })}
                <polyline class="line-training" points=line(&run.whole)/>
            </svg>
        </div>
        <p class="axis-name" aria-hidden="true">{t.learn.sure_over_steps}</p>
        <figure class="strip"><div aria-hidden="true">{run.attention.iter().map(cell).collect_view()}</div><figcaption>{t.learn.looks}</figcaption></figure>
    }
}
