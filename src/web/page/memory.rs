//! The memory picture: three strategies on one scale, the grid, the timeline.

use leptos::prelude::*;

use super::grid;
use super::state::State;
use crate::web::format::{bytes, whole};
use crate::web::picture::{Bar, Part, Picture};
use crate::web::texts;
use crate::web::timeline::{HEIGHT, Timeline};

pub fn view(state: State) -> impl IntoView {
    let pictures = move || {
        state.picture.with(|picture| match picture {
            Ok(picture) => view! { {peaks(picture)} {grid::view(&picture.grid)} {timeline(&picture.timeline)} }.into_any(),
            Err(_) => view! { <p class="note">{texts::MEMORY_NONE}</p> }.into_any(),
        })
    };
    view! {
        <section class="memory" aria-labelledby="memory-title">
            <h2 id="memory-title">{texts::MEMORY}</h2>
            <p class="hint">{texts::MEMORY_ABOUT}</p>
            <ul class="legend">
                {Part::ALL.map(|part| view! { <li style=format!("--colour: var(--{})", part.name())>{texts::part(part)}</li> })}
            </ul>
            {move || planned(state)}
            {pictures}
        </section>
    }
}

/// Planned bytes beside those that were created.
fn planned(state: State) -> impl IntoView {
    let plan = state.picture.with(|picture| picture.as_ref().ok().map(|picture| picture.chosen_bar().peak_bytes));
    let created = state.run_bytes.get();
    let exact = |value: u64| format!("{} ({} bytes)", bytes(value), whole(value));
    let [planned_text, created_text] = match created {
        Some((planned, created)) => [exact(planned), exact(created)],
        None => [plan.map_or_else(String::new, exact), texts::NOT_CREATED.to_owned()],
    };
    view! {
        <dl class="planned">
            <div><dt>{texts::PLANNED}</dt><dd id="planned" data-bytes=created.map(|(p, _)| p).or(plan)>{planned_text}</dd></div>
            <div><dt>{texts::CREATED}</dt><dd id="created" data-bytes=created.map(|(_, c)| c)>{created_text}</dd></div>
        </dl>
        {(created.is_some()).then(|| view! { <p class="hint">{texts::SAMPLES_EXTRA}</p> })}
    }
}

fn peaks(picture: &Picture) -> impl IntoView {
    let longest = picture.longest_bar();
    let standard = picture.bars[0].peak_bytes;
    let bar = |bar: &Bar| {
        let segments = Part::ALL.map(|part| {
            let share = 100.0 * bar.parts[part as usize] as f64 / longest.max(1) as f64;
            let title = format!("{}: {}", texts::part(part), bytes(bar.parts[part as usize]));
            view! { <span style=format!("width: {share:.3}%; background: var(--{})", part.name()) title=title></span> }
        });
        view! {
            <li data-strategy=bar.strategy.name() data-peak-bytes=bar.peak_bytes class:chosen=bar.strategy == picture.chosen>
                <strong>{bar.strategy.name()}</strong>
                <span class="number">{texts::peak(bar, standard)}</span>
                <span class="bar" aria-hidden="true">{segments}</span>
                <small>{texts::peak_at(bar)}</small>
                {bar.refusal.clone().map(|reason| view! { <small class="refusal" title=reason>{texts::TOO_LARGE}</small> })}
            </li>
        }
    };
    view! {
        <h3>{texts::PEAKS}</h3>
        <p class="hint">{texts::PEAKS_ABOUT}</p>
        <ol id="peaks">{picture.bars.iter().map(bar).collect_view()}</ol>
        <details><summary>{texts::AS_TABLE}</summary>{peaks_table(picture)}</details>
    }
}

fn peaks_table(picture: &Picture) -> impl IntoView {
    let cells = |of: &dyn Fn(&Bar) -> u64| picture.bars.iter().map(|bar| view! { <td>{bytes(of(bar))}</td> }).collect_view();
    let row = |part: Part| {
        view! { <tr><th scope="row">{texts::part(part)}</th>{cells(&|bar| bar.parts[part as usize])}</tr> }
    };
    view! {
        <table>
            <caption>{texts::PEAKS}</caption>
            <thead><tr>
                <th scope="col">{texts::PART}</th>
                {picture.bars.iter().map(|bar| view! { <th scope="col">{bar.strategy.name()}</th> }).collect_view()}
            </tr></thead>
            <tbody>
                {Part::ALL.map(row)}
                <tr><th scope="row">{texts::UNUSED}</th>{cells(&|bar| bar.unused)}</tr>
                <tr class="sum"><th scope="row">{texts::PEAK}</th>{cells(&|bar| bar.peak_bytes)}</tr>
            </tbody>
        </table>
    }
}

fn timeline(timeline: &Timeline) -> impl IntoView {
    let width = timeline.moments.len();
    let percent = |at: f64| format!("{:.3}%", 100.0 * at / width as f64);
    let area = |part: Part| view! { <path d=timeline.area(part) style=format!("fill: var(--{})", part.name())/> };
    let ends = timeline.passes.iter().skip(1).map(|&(_, at)| at).chain([width]);
    let passes = timeline.passes.iter().zip(ends).map(|(&(pass, at), end)| {
        // Names of parts too short to be read beside one another are in the table.
        let is_wide = (end - at) * 9 >= width;
        view! { <span style=format!("left: {}; width: {}", percent(at as f64), percent((end - at) as f64))>{is_wide.then(|| texts::pass(pass))}</span> }
    });
    let most = bytes(timeline.most());
    let row = |&(pass, _): &(crate::step::Pass, usize)| {
        view! { <tr><th scope="row">{texts::pass(pass)}</th><td>{bytes(timeline.most_during(pass))}</td></tr> }
    };
    view! {
        <h3>{texts::TIMELINE}</h3>
        <p class="hint">{texts::TIMELINE_ABOUT}</p>
        <div class="timeline" role="img" aria-label=format!("{}; {}: {most}", texts::TIMELINE, texts::PEAK)>
            <span class="peak" class:left={2 * timeline.peak > width} style:left=percent(timeline.peak as f64 + 0.5)>{format!("{} {most}", texts::PEAK)}</span>
            <svg viewBox=format!("0 0 {width} {HEIGHT}") preserveAspectRatio="none" aria-hidden="true">{Part::ALL.map(area)}</svg>
            <div class="passes" aria-hidden="true">{passes.collect_view()}</div>
        </div>
        <details>
            <summary>{texts::AS_TABLE}</summary>
            <table><caption>{texts::TIMELINE}</caption><tbody>{timeline.passes.iter().map(row).collect_view()}</tbody></table>
        </details>
    }
}
