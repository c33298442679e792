//! How long a step takes under each strategy, predicted for a device.

use leptos::prelude::*;

use crate::gpu::DeviceClass;
use crate::step::StrategyKind;
use crate::train::RankCost;
use crate::web::format::{bytes, seconds, whole};
use crate::web::i18n::{T, fill};
use crate::web::memory_curve::Topic;
use crate::web::page::state::{Planner, Predicted};

/// The adapter at hand, in the list of devices.
const THIS: &str = "this";

pub fn view(t: T, planner: Planner) -> impl IntoView {
    let named = |name: String| DeviceClass::ALL.into_iter().find(|class| class.name == name).map_or(Predicted::Here, Predicted::Class);
    let is_here = move || planner.predicted() == Predicted::Here;
    let here = move || planner.is_measured.get().then(|| view! { <option value=THIS prop:selected=is_here>{t.reach.this_device}</option> });
    let option = move |class: DeviceClass| {
        let is_chosen = move || planner.predicted() == Predicted::Class(class);
        view! { <option value=class.name prop:selected=is_chosen>{class.title}</option> }
    };
    let is_old =
        move || planner.times.with(|times| times.is_none_or(|(number, _)| number != planner.asked.with(|asked| asked[Topic::TIMES])));
    let row = move |kind: StrategyKind| {
        let time = move || planner.times.get().map(|(_, times)| seconds(times[kind as usize]));
        view! { <tr data-strategy=kind.name()><th scope="row">{kind.name()}</th><td>{time}</td></tr> }
    };
    let caption = move || fill(t.reach.at, &[("tokens", &whole(u64::from(planner.shown_length())))]);
    view! {
        <div class="reach-times">
            <label class="field" for="reach-device">{t.reach.predicted_on}</label>
            <select id="reach-device" aria-describedby="reach-times-about"
                on:change=move |event| planner.predict(named(event_target_value(&event)))>
                {here}
                {DeviceClass::ALL.map(option).collect_view()}
            </select>
            <table id="reach-times" class:stale=is_old aria-busy=move || is_old().to_string()>
                <caption>{caption}</caption>
                <tbody>{StrategyKind::ALL.map(row).collect_view()}</tbody>
            </table>
            <p class="hint" id="reach-times-about">{t.reach.predicted_about}</p>
        </div>
        <div class:hidden=move || !planner.is_split() class:stale=is_old>{move || of_machines(t, &planner.of_machines.get())}</div>
    }
}

/// What a step takes of each machine.
fn of_machines(t: T, costs: &[RankCost]) -> impl IntoView + use<> {
    let row = |(number, cost): (u32, &RankCost)| {
        view! {
            <tr>
                <th scope="row">{number}</th>
                <td>{whole(u64::from(cost.tokens))}</td>
                <td>{bytes(cost.peak_bytes)}</td>
                <td>{seconds(cost.busy_seconds)}</td>
                <td>{seconds(cost.waiting_seconds)}</td>
                <td>{bytes(cost.sent_bytes)}</td>
            </tr>
        }
    };
    let titles = [t.reach.machine, t.reach.length, t.reach.machine_memory, t.reach.computes, t.reach.waits, t.reach.sends];
    view! {
        <table id="of-machines" tabindex="0" aria-describedby="reach-machines-about">
            <caption>{fill(t.reach.of_machines, &[("strategy", &StrategyKind::Stream)])}</caption>
            <thead><tr>{titles.map(|title| view! { <th scope="col">{title}</th> }).collect_view()}</tr></thead>
            <tbody>{(1..).zip(costs).map(row).collect_view()}</tbody>
        </table>
    }
}
