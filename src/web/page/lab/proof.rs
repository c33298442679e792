//! The proof: runs of every strategy and several chunk lengths, and whether their gradients are the same bits.

use leptos::prelude::*;

use crate::step::StrategyKind;
use crate::train::{ParameterReport, RunReport, VerifyReport};
use crate::web::format::bytes;
use crate::web::i18n::{T, fill};
use crate::web::page::state::State;
use crate::web::protocol::ToWorker;
use crate::web::route::PROOF;

pub fn view(state: State, t: T) -> impl IntoView {
    let is_busy =
        move || state.run.phase.get().is_busy() || state.device.adapter.with(Option::is_none) || state.lab.proving.with(Option::is_some);
    let progress = move || {
        state.lab.proving.get().map_or_else(String::new, |(done, all)| match all {
            0 => t.compare.starting.to_owned(),
            _ => fill(t.compare.proving, &[("done", &done), ("all", &all)]),
        })
    };
    let outcome = move || {
        state.lab.proof.with(|proof| proof.as_ref().filter(|_| state.lab.is_proved(state.settings)).map(|report| outcome(t, report)))
    };
    view! {
        <div class="proof" id=PROOF>
            <h3>{t.compare.proof}</h3>
            <p class="hint">{t.compare.proof_about}</p>
            <div class="buttons"><button id="prove" type="button" aria-describedby="lab-why-not" disabled=is_busy on:click=move |_| prove(state)>{t.compare.prove}</button></div>
            <p class="hint" id="proof-progress" role="status">{progress}</p>
            {outcome}
        </div>
    }
}

/// Computes the gradients of the form's run by every strategy, and compares them.
pub fn prove(state: State) {
    let Some(run) = state.new_run() else { return };
    state.ensure_models();
    state.lab.proved.set(Some(run.spec.clone()));
    state.lab.proof.set(None);
    state.lab.proving.set(Some((0, 0)));
    state.send(&ToWorker::Prove(Box::new(run)));
}

fn outcome(t: T, report: &VerifyReport) -> impl IntoView + use<> {
    let different = report.parameters.iter().filter(|parameter| !parameter.same_bits).count();
    let (runs, parameters) = (report.runs.len(), report.parameters.len());
    let text = if report.same_bits { t.compare.same_bits } else { t.compare.different_bits };
    let text = fill(text, &[("runs", &runs), ("parameters", &parameters), ("different", &different)]);
    let errors = report.parameters.iter().filter_map(|parameter| Some((parameter.error?, &parameter.name)));
    let worst = errors.max_by(|a, b| a.0.total_cmp(&b.0));
    let worst = worst.map(|(error, name)| fill(t.compare.worst, &[("error", &scientific(error)), ("parameter", name)]));
    view! {
        <p id="proof-verdict" role="status" class:different=!report.same_bits data-same-bits=report.same_bits.to_string()>{text}</p>
        <p class="hint">{worst}</p>
        {runs_table(t, report)}
        {parameters_table(t, report)}
    }
}

pub fn run_name(t: T, run: &RunReport) -> String {
    if run.strategy == StrategyKind::Stream.name() {
        fill(t.compare.chunked, &[("strategy", &run.strategy), ("chunk", &run.chunk)])
    } else {
        run.strategy.clone()
    }
}

fn runs_table(t: T, report: &VerifyReport) -> impl IntoView + use<> {
    let row = |(index, run): (usize, &RunReport)| {
        let bits = match run.same_bits {
            _ if index == 0 => t.compare.first.to_owned(),
            true => t.compare.same.to_owned(),
            false if run.different.is_empty() => t.compare.loss_differs.to_owned(),
            false => fill(t.compare.differs, &[("runs", &run.different.len())]),
        };
        view! {
            <tr>
                <th scope="row">{run_name(t, run)}</th><td class:different=!run.same_bits>{bits}</td>
                <td>{format!("{:.7}", run.loss)}</td><td>{bytes(run.peak_bytes)}</td>
            </tr>
        }
    };
    view! {
        <table id="proof-runs" tabindex="0">
            <caption>{t.compare.runs}</caption>
            <thead><tr>
                <th scope="col">{t.compare.run}</th><th scope="col">{t.compare.bits}</th>
                <th scope="col">{t.compare.loss}</th><th scope="col">{t.compare.bytes}</th>
            </tr></thead>
            <tbody>{report.runs.iter().enumerate().map(row).collect_view()}</tbody>
        </table>
    }
}

fn parameters_table(t: T, report: &VerifyReport) -> impl IntoView + use<> {
    let row = |parameter: &ParameterReport| {
        let runs = report.runs.iter().filter(|run| run.different.contains(&parameter.name));
        let runs: Vec<String> = runs.map(|run| run_name(t, run)).collect();
        let bits = if parameter.same_bits { t.compare.same.to_owned() } else { fill(t.compare.differs, &[("runs", &runs.join("; "))]) };
        view! {
            <tr data-same-bits=parameter.same_bits.to_string()>
                <th scope="row">{parameter.name.clone()}</th><td class:different=!parameter.same_bits>{bits}</td>
                <td>{parameter.error.map(scientific)}</td>
            </tr>
        }
    };
    view! {
        <div class="list" tabindex="0" role="group" aria-label=t.compare.parameters>
            <table id="proof-parameters">
                <caption>{t.compare.parameters}</caption>
                <thead><tr>
                    <th scope="col">{t.compare.parameter}</th><th scope="col">{t.compare.bits}</th>
                    <th scope="col">{t.compare.error}</th>
                </tr></thead>
                <tbody>{report.parameters.iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

/// As in 1.2 × 10⁻⁷.
fn scientific(value: f64) -> String {
    let text = format!("{value:.1e}");
    let (digits, exponent) = text.split_once('e').expect("that is how it is written");
    let raised = |sign: char| match sign {
        '-' => '⁻',
        digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit.to_digit(10).unwrap_or(0) as usize],
    };
    if value == 0.0 { "0".to_owned() } else { format!("{digits} × 10{}", exponent.chars().map(raised).collect::<String>()) }
}
