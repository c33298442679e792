//! Every operation of the step against what the device can do at most: the picture, and the same as a table.

use leptos::prelude::*;

use crate::train::{Profile, RooflineRow};
use crate::web::charts::{Group, RooflineWords, roofline};
use crate::web::format::{digits, seconds};
use crate::web::i18n::{T, fill};
use crate::web::page::browser;
use crate::web::page::state::{Phase, State};
use crate::web::protocol::ToWorker;

/// Pixels of the picture where there is room, on a phone, and in a file.
const WIDE: [u32; 2] = [680, 440];
const NARROW: [u32; 2] = [330, 400];
const FILE: [u32; 2] = [1000, 640];

pub fn view(state: State, t: T) -> impl IntoView {
    let is_busy = move || {
        let is_within_a_step =
            matches!(state.run.phase.get(), Phase::Stepping | Phase::Resuming | Phase::Waiting) || state.run.stands_within_a_step();
        is_within_a_step || state.device.adapter.with(Option::is_none) || state.lab.is_profiling.get()
    };
    let measure = move |_| {
        let Some(run) = state.new_run() else { return };
        state.lab.profiled.set(state.settings.plan.get_untracked().ok());
        state.lab.profile.set(None);
        state.lab.is_profiling.set(true);
        state.send(&ToWorker::Profile(Box::new(run)));
    };
    let search = move |_| {
        let Some(run) = state.new_run() else { return };
        state.device.search.set(Some(0.0));
        state.send(&ToWorker::Search(Box::new(run)));
    };
    let cannot_search =
        move || state.run.phase.get().is_busy() || state.device.adapter.with(Option::is_none) || state.device.search.with(Option::is_some);
    let found = move || state.device.found.get().map_or_else(String::new, |found| fill(t.roofline.found, &[("found", &found)]));
    let text = move || if state.lab.is_profiling.get() { t.roofline.measuring } else { t.roofline.measure };
    let outcome =
        move || state.lab.profile.with(|profile| profile.as_ref().filter(|_| state.lab.is_profiled(state.settings)).map(|p| outcome(t, p)));
    view! {
        <div class="proof">
            <h3>{t.roofline.title}</h3>
            <p class="hint">{t.roofline.about}</p>
            <div class="buttons"><button id="profile" type="button" aria-describedby="lab-why-not" disabled=is_busy on:click=measure>{text}</button>
                <button id="search-kernels" type="button" aria-describedby="lab-why-not" disabled=cannot_search on:click=search>{t.roofline.search}</button>
            </div>
            <p class="hint" id="kernels" role="status">{found}</p>
            {outcome}
        </div>
    }
}

fn outcome(t: T, profile: &Profile) -> impl IntoView + use<> {
    let on_the_page = |size: [u32; 2]| svg(t, profile, size, String::new(), &|name| format!("var(--{name})"));
    let (as_svg, as_png) = (profile.clone(), profile.clone());
    let in_a_file = move |profile: &Profile| svg(t, profile, FILE, t.roofline.title.to_owned(), &|name| browser::css_colour(name));
    let give_svg = move |_| browser::download("roofline.svg", "image/svg+xml", in_a_file(&as_svg).as_bytes());
    let give_png = move |_| browser::download_png(&in_a_file(&as_png), "roofline.png", FILE);
    let [sum, gflops, bandwidth] = [one_by_one(profile), profile.ceilings.gflops, profile.ceilings.gigabytes_per_second];
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("seconds", &seconds(profile.seconds)), ("sum", &seconds(sum)), ("gflops", &digits(gflops)), ("bandwidth", &digits(bandwidth))];
    view! {
        <p id="profile-summary" role="status" data-seconds=profile.seconds.to_string() data-sum=sum.to_string()>{fill(t.roofline.summary, &values)}</p>
        <div class="roofline" role="img" aria-label=t.roofline.picture tabindex="0" data-tip-of="circle[data-tip]" data-tip-keys>
            <div class="where-wide" inner_html=on_the_page(WIDE)></div>
            <div class="where-narrow" inner_html=on_the_page(NARROW)></div>
        </div>
        <p class="hint">{t.roofline.picture_about}</p>
        {table(t, profile)}
        <div class="buttons exports">
            <button id="roofline-svg" type="button" on:click=give_svg>{t.step_grid.export_svg}</button>
            <button id="roofline-png" type="button" on:click=give_png>{t.step_grid.export_png}</button>
        </div>
    }
}

fn svg(t: T, profile: &Profile, size: [u32; 2], title: String, colour: &dyn Fn(&str) -> String) -> String {
    let texts = &t.roofline;
    let words = RooflineWords {
        title,
        axes: [texts.intensity, texts.speed],
        roof: [
            fill(texts.arithmetic_roof, &[("gflops", &digits(profile.ceilings.gflops))]),
            fill(texts.bytes_roof, &[("bandwidth", &digits(profile.ceilings.gigabytes_per_second))]),
        ],
        groups: Group::ALL.map(|group| match group {
            Group::Matrices => texts.matrices,
            Group::Attention => texts.attention,
            Group::Rest => texts.rest,
        }),
        row: &|row| format!("{}: {}, {} GFLOP/s, {} %", name(t, row), seconds(row.seconds), digits(gflops_of(row)), percent(row.share())),
        colour,
    };
    roofline(profile, size, &words)
}

fn one_by_one(profile: &Profile) -> f64 {
    profile.rows.iter().map(|row| row.seconds).sum()
}

/// What is done, with what, and in which pass.
fn name(t: T, row: &RooflineRow) -> String {
    format!("{} {} ({})", row.op.replace('_', " "), row.of, t.pass(row.pass))
}

fn gflops_of(row: &RooflineRow) -> f64 {
    row.flops as f64 / row.seconds.max(1e-12) / 1e9
}

fn percent(share: f64) -> String {
    digits(100.0 * share)
}

fn table(t: T, profile: &Profile) -> impl IntoView + use<> {
    let texts = &t.roofline;
    let all = one_by_one(profile).max(1e-12);
    let row = |(index, row): (usize, &RooflineRow)| {
        let bound = if row.is_arithmetic { &texts.by_arithmetic } else { &texts.by_bytes };
        let cells = [seconds(row.seconds), percent(row.seconds / all), digits(gflops_of(row)), percent(row.share()), (*bound).to_owned()];
        let number = format!("{}. ", index + 1);
        view! {
            <tr data-seconds=row.seconds.to_string() data-roof-share=row.share().to_string() data-turns=row.instances.to_string()>
                <th scope="row">{number}<span class="swatch" style:background=format!("var(--{})", Group::of(&row.op).colour())></span>{name(t, row)}</th>
                {cells.map(|cell| view! { <td>{cell}</td> })}
            </tr>
        }
    };
    let columns = [texts.operation, texts.time, texts.share, texts.speed, texts.of_roof, texts.bound];
    view! {
        <div class="list" tabindex="0" role="group" aria-label=texts.operation>
            <table id="profile-rows">
                <thead><tr>{columns.map(|column| view! { <th scope="col">{column}</th> })}</tr></thead>
                <tbody>{profile.rows.iter().enumerate().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}
