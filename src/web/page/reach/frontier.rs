//! The frontier: ways to compute the same step, by their bytes and their predicted time.

use leptos::prelude::*;

use crate::step::{SavedActivations, Strategy, StrategyKind};
use crate::train::FrontierPoint;
use crate::web::axis::{Axes, Scale, short_bytes};
use crate::web::format::{bytes, seconds};
use crate::web::i18n::{T, fill};
use crate::web::memory_curve::Topic;
use crate::web::page::components::axes;
use crate::web::page::state::State;

/// Bytes that have a name along their axis, at most.
const MOST_TICKS: u32 = 6;

pub fn view(state: State, t: T) -> impl IntoView {
    let planner = state.planner;
    let is_old = move || planner.frontier.with(|(number, _)| *number != planner.asked.with(|asked| asked[Topic::FRONTIER]));
    let is_barred = Memo::new(move |_| !planner.is_bound());
    let layers = move || planner.question.with(|question| question.as_ref().map_or(1, |question| question.spec.config.num_hidden_layers));
    let picture = move || {
        planner.frontier.with(|(_, points)| {
            let axes = axes_of(points)?;
            let place = |point: &FrontierPoint| [axes.left(point.seconds), axes.top(point.bytes as f64)];
            let dots = points.iter().map(|point| dot(t, point, layers(), place(point))).collect_view();
            Some(view! {
                <div class="reach-chart">
                    <div class="plot" id="frontier-chart">
                        <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{axes::grid(Some(&axes.x), Some(&axes.y))}</svg>
                        {axes::y_labels(&axes.y, short_bytes)}
                        {axes::x_labels(&axes.x, short_seconds)}
                        {dots}
                    </div>
                    <p class="axis-name" aria-hidden="true">{t.reach.frontier_axis}</p>
                </div>
            })
        })
    };
    let row = move |point: &FrontierPoint| {
        let strategy = point.strategy;
        let take = move |_| state.settings.form.update(|form| form.set_strategy(strategy));
        view! {
            <tr>
                <th scope="row"><button type="button" class="take" disabled=move || is_barred.get() on:click=take>{name(t, strategy, layers())}</button></th>
                <td>{bytes(point.bytes)}</td>
                <td>{seconds(point.seconds)}</td>
            </tr>
        }
    };
    let rows = move || planner.frontier.with(|(_, points)| points.iter().map(row).collect_view());
    view! {
        <section class="paper" class:hidden=move || planner.is_split() aria-labelledby="frontier-title">
            <h3 id="frontier-title">{t.reach.frontier}</h3>
            <p class="hint" id="frontier-about">{t.reach.frontier_about}</p>
            <div class:stale=is_old>
                {picture}
                <table id="frontier" aria-busy=move || is_old().to_string() aria-describedby="frontier-about">
                    <thead><tr><th scope="col">{t.reach.strategy}</th><th scope="col">{t.compare.peaks}</th><th scope="col">{t.compare.time}</th></tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

/// A time along the axis.
fn short_seconds(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { seconds(value) }
}

/// A scale for the times, from none on, and one for the bytes. `None` if there are no points.
fn axes_of(points: &[FrontierPoint]) -> Option<Axes> {
    let longest = points.iter().map(|point| point.seconds).fold(0.0, f64::max);
    let (least, most) = (points.first()?.bytes as f64, points.last()?.bytes as f64);
    let [low, high] = [least.log2() - 0.3, most.log2() + 0.3].map(f64::exp2);
    Some(Axes { x: Scale::linear(0.0, 1.1 * longest), y: Scale::log2(low, high, MOST_TICKS) })
}

fn dot(t: T, point: &FrontierPoint, layers: u32, [x, y]: [f64; 2]) -> impl IntoView + use<> {
    let class = format!("point spot {}", super::plot::class_of(point.strategy.kind));
    let text = format!("{}: {}, {}", name(t, point.strategy, layers), bytes(point.bytes), seconds(point.seconds));
    let label = text.clone();
    view! {
        <span class=class style:left=axes::percent(x) style:top=axes::percent(y) role="img" tabindex="0" aria-label=label data-tip=text></span>
    }
}

/// What a strategy is called, in a model of so many layers.
fn name(t: T, strategy: Strategy, layers: u32) -> String {
    let is_stream = strategy.kind == StrategyKind::Stream;
    let group = strategy.layer_group(layers);
    let saves = strategy.kind != StrategyKind::Standard && strategy.saved_activations() != SavedActivations::NONE;
    let parts = [
        Some(strategy.kind.name().to_owned()),
        is_stream.then(|| fill(t.reach.in_chunks, &[("chunk", &strategy.chunk(u32::MAX))])),
        (group > 1).then(|| fill(t.reach.in_groups, &[("layers", &group)])),
        saves.then(|| t.reach.keeps_attention.to_owned()),
        strategy.offloads().then(|| t.reach.inputs_on_host.to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<String>>().join(", ")
}
