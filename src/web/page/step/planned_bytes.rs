//! Planned bytes beside those that were created, and what there is beside the step.

use leptos::prelude::*;

use crate::web::format::{bytes, whole};
use crate::web::i18n::{T, fill};
use crate::web::page::state::{DeviceState, RunState, StepState};

pub fn view(step: StepState, run: RunState, device: DeviceState, t: T) -> impl IntoView {
    let plan = step.plans.with(|plans| plans.as_ref().ok().map(|plans| plans.chosen().peak_bytes()));
    let host = step.plans.with(|plans| plans.as_ref().map_or(0, |plans| plans.chosen().plan.host_bytes()));
    let created = run.bytes.get();
    let exact = |value: u64| format!("{} ({} bytes)", bytes(value), whole(value));
    let [planned_text, created_text] = match created {
        Some((planned, created)) => [exact(planned), exact(created)],
        None => [plan.map_or_else(String::new, exact), t.step_grid.none_yet.to_owned()],
    };
    let beside = move || device.buffers.get().into_iter().filter(|(name, _)| name != "step");
    let total: u64 = device.buffers.with(|buffers| buffers.iter().map(|(_, bytes)| bytes).sum());
    let change = step.change.get().filter(|change| *change != 0).map(|change| {
        let sign = if change > 0 { "+" } else { "−" };
        fill(t.step_grid.change, &[("bytes", &format!("{sign}{}", bytes(change.unsigned_abs())))])
    });
    view! {
        <dl class="planned" data-total-bytes=total>
            <div>
                <dt>{t.step_grid.planned}</dt>
                <dd><span id="planned" data-bytes=created.map(|(p, _)| p).or(plan)>{planned_text}</span> <small>{change}</small></dd>
            </div>
            <div><dt>{t.step_grid.created}</dt><dd id="created" data-bytes=created.map(|(_, c)| c)>{created_text}</dd></div>
            {(host > 0).then(|| view! { <div><dt>{t.step_grid.on_host}</dt><dd id="on-host" data-bytes=host>{exact(host)}</dd></div> })}
            {move || (beside().count() > 0).then(|| {
                let list = beside().map(|(name, size)| format!("{} {}", t.buffer(&name), bytes(size))).collect::<Vec<_>>().join(", ");
                view! { <div><dt>{t.step_grid.beside}</dt><dd id="beside">{list}</dd></div> }
            })}
        </dl>
    }
}
