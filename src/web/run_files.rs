//! The run of the page as the directory of a run of the program, and the other way round.

use std::path::Path;

use super::form::{SourceChoice, arguments, file_name};
use super::model_protocol::Vocabulary;
use super::protocol::{AtHand, Data, GivenText, History, Run, Start};
use crate::error::{Error, Result};
use crate::model::Preset;
use crate::model::archive::TEXT_FOLDER;
use crate::step::{Objective, StrategyKind};
use crate::train::run_file::{CHECKPOINT, METRICS, Metrics, OWN, RUN, RunFile, TASK_DISTANCE, VALIDATION_INTERVAL, is_given_text};
use crate::train::{ChunkLength, Snapshot};

/// Tokens of a chunk where `stream` is compared with the run's strategy.
const COMPARED_CHUNK: u32 = 128;

/// The path of a run's text in its directory, if it has one.
pub fn text_path(run: &Run) -> Option<String> {
    match &run.data {
        Data::Text(given) => Some(format!("{TEXT_FOLDER}{}", file_name(&given.name))),
        _ => None,
    }
}

/// The files of a run's directory, by name, without its text.
pub fn files(run: &Run, history: &History, snapshot: &Snapshot) -> Vec<(&'static str, Vec<u8>)> {
    let text = text_path(run).unwrap_or_default();
    let written = match &run.data {
        Data::Text(given) => Some(given.written),
        _ => None,
    };
    let started = RunFile { arguments: arguments(run, run.chunks.map(ChunkLength::Tokens), &text, false), written };
    let validation = |step| history.validations.iter().find(|(at, _)| *at == step).map(|(_, validation)| validation.clone());
    let of_pairs = |step| history.pairs.iter().find(|(at, _)| *at == step).map(|(_, of_pairs)| *of_pairs);
    let samples = |step| history.samples.iter().find(|(at, _)| *at == step).map(|(_, samples)| samples.clone());
    let metrics = history
        .steps
        .iter()
        .map(|report| Metrics::new(*report, of_pairs(report.step), samples(report.step), validation(report.step)).to_line());
    vec![(RUN, started.to_json().into_bytes()), (METRICS, metrics.collect::<String>().into_bytes()), (CHECKPOINT, snapshot.to_bytes())]
}

/// How the program was told to start a run.
///
/// # Errors
/// [`Error::Data`] if the file is missing or cannot be read.
pub fn started(json: Option<&[u8]>) -> Result<RunFile> {
    let missing = || Error::Data(format!("{RUN} is not there; choose the whole directory that streambp train --out wrote, or its zip"));
    let read = serde_json::from_slice(json.ok_or_else(missing)?);
    read.map_err(|error| Error::Data(format!("{RUN} cannot be read ({error}); choose the directory of a run of streambp train")))
}

/// What the run has done by its snapshot.
pub fn history(metrics: &[u8], snapshot: &Snapshot) -> History {
    let mut history = History::default();
    for metrics in Metrics::read(&String::from_utf8_lossy(metrics), snapshot.step) {
        let samples = metrics.samples();
        let Metrics { report, of_pairs, validation, .. } = metrics;
        history.steps.push(report);
        history.samples.extend(samples.map(|samples| (report.step, samples)));
        history.pairs.extend(of_pairs.map(|of_pairs| (report.step, of_pairs)));
        history.validations.extend(validation.map(|validation| (report.step, validation)));
    }
    history
}

/// The name of the text in the directory of a run, if it is trained on one.
pub fn text_name(started: &RunFile) -> Option<&str> {
    started.value("data").filter(|data| is_given_text(data))
}

/// What is generated, by the program's name of it, which the page has as well.
fn generated(name: &str, distance: u32) -> Option<Data> {
    match SourceChoice::named(name)? {
        SourceChoice::Stories(language) => Some(Data::Stories(language)),
        SourceChoice::Preferences(language) => Some(Data::Preferences(language)),
        SourceChoice::Task(task) => Some(Data::Task(task, distance)),
        SourceChoice::OwnSource | SourceChoice::Text => None,
    }
}

/// The run of the program that a directory holds, as one of the page. `text` is its text, if it has one.
///
/// # Errors
/// [`Error::Data`] names what the page does not have, and says what to do.
pub fn run(started: &RunFile, snapshot: &Snapshot, text: Option<GivenText>, at_hand: AtHand) -> Result<Run> {
    if started.value("reference").is_some() {
        return Err(not_here("another reference than the model before training (--reference)"));
    }
    let distance = number(started, "distance", u64::from(TASK_DISTANCE))? as u32;
    let data = match (started.value("data"), text) {
        (None, _) => return Err(Error::Data(format!("{RUN} names no --data; continue the run with streambp train --resume"))),
        (Some(OWN), _) => Data::OwnSource,
        (Some(name), text) => match (generated(name, distance), text) {
            (Some(data), _) => data,
            (None, _) if !is_given_text(name) => return Err(not_here(&format!("the task {name}"))),
            (None, Some(given)) => Data::Text(given),
            (None, None) => {
                return Err(Error::Data(format!(
                    "the text {name} of the run is not in its directory; choose it under Data first, and then open the run again"
                )));
            }
        },
    };
    let learns_from_rewards = matches!(snapshot.run.settings.objective, Objective::Grpo(_));
    if learns_from_rewards && !data.is_generated() {
        return Err(not_here("rows of prompts"));
    }
    let is_opened = at_hand.config.as_ref() == Some(&snapshot.run.spec.config);
    let start = if is_opened { at_hand.start } else { Start::Seed };
    let vocabulary = vocabulary(started, &data)?;
    let needs_model = needs_model(started, snapshot) || vocabulary == Vocabulary::Model;
    if needs_model && !is_opened {
        let name = started.value("model").unwrap_or_default();
        return Err(Error::Data(format!(
            "the run needs the model {name} it started from; open that under Model first, and then open the run again"
        )));
    }
    let strategy = snapshot.run.settings.strategy;
    let chunks = match strategy.kind {
        StrategyKind::Stream => [strategy.chunk(u32::MAX), strategy.logits_chunk(u32::MAX)],
        _ => [COMPARED_CHUNK; 2],
    };
    Ok(Run {
        spec: snapshot.run.spec.clone(),
        settings: snapshot.run.settings.clone(),
        data,
        vocabulary,
        start: if needs_model { start } else { Start::Seed },
        validate_every: number(started, "val-every", VALIDATION_INTERVAL)?,
        sample_every: at_hand.sample_every,
        prompt: at_hand.prompt,
        budget: at_hand.budget,
        chunks,
    })
}

/// Are there weights beside those that learn, and are they not drawn from the seed?
fn needs_model(started: &RunFile, snapshot: &Snapshot) -> bool {
    snapshot.run.spec.adapters().is_some() && is_in_files(started)
}

/// Is the model one in files? A preset and the text of a `config.json` have weights from the seed.
fn is_in_files(started: &RunFile) -> bool {
    let is_json = |model: &str| Path::new(model).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    started.value("model").is_some_and(|model| !model.starts_with('{') && Preset::named(model).is_none() && !is_json(model))
}

fn vocabulary(started: &RunFile, data: &Data) -> Result<Vocabulary> {
    let has_option = started.value("tokenizer");
    Ok(match (started.value("train-tokenizer"), has_option, data) {
        (_, _, data) if data.is_generated() => Vocabulary::Bytes,
        (None, Some("bytes"), _) => Vocabulary::Bytes,
        (Some(_), ..) => Vocabulary::Learned,
        (None, Some(tokenizer), _) if Some(tokenizer) == started.value("model") => Vocabulary::Model,
        (None, Some(tokenizer), _) => return Err(not_here(&format!("another tokenizer than the model's, as {tokenizer}"))),
        (None, None, Data::Text(_)) if is_in_files(started) => Vocabulary::Model,
        (None, None, _) => Vocabulary::Bytes,
    })
}

fn number(started: &RunFile, option: &str, default: u64) -> Result<u64> {
    let wrong = |value: &str| {
        Error::Data(format!("{RUN} has --{option} {value}, which is no whole number; continue the run with streambp train --resume"))
    };
    started.value(option).map_or(Ok(default), |value| value.parse().map_err(|_| wrong(value)))
}

fn not_here(what: &str) -> Error {
    Error::Data(format!("the page does not have {what}; continue the run with streambp train --resume"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Parameters, Weights};
    use crate::train::{DpoMetrics, Language, RunId, SampleMetrics, StepReport};
    use crate::web::form::{Adapter, Form, ObjectiveChoice};
    use crate::web::protocol::TaskKind;

    fn snapshot(run: &Run) -> Snapshot {
        let parameters = Parameters::new(&run.spec);
        let weights = || {
            let trained = || parameters.trainable().map(|(_, parameter)| parameter);
            Weights::of(trained(), trained().map(|parameter| vec![0.5; parameter.elements()]))
        };
        let id = RunId { settings: run.settings.clone(), data: 7, spec: run.spec.clone(), frozen: None };
        Snapshot { run: id, step: 3, weights: weights(), moments: [weights(), weights()], round: None }
    }

    fn at_hand(run: &Run) -> AtHand {
        let Run { sample_every, prompt, budget, .. } = run.clone();
        AtHand { start: Start::Seed, config: None, text: None, sample_every, prompt, budget }
    }

    #[test]
    fn a_directory_has_the_run_and_what_it_did() {
        let mut form = Form::default();
        let run = form.run(None, Start::Seed, &Adapter::default()).unwrap();
        form.set_objective(ObjectiveChoice::Dpo);
        let of_pairs = form.run(None, Start::Seed, &Adapter::default()).unwrap();
        let of_rewards = Form::learn_from_rewards().run(None, Start::Seed, &Adapter::default()).unwrap();
        let given = GivenText { name: "my/book.txt".to_owned(), size: 9, written: 5, may_be_rows: false };
        let sources = [Data::OwnSource, Data::Task(TaskKind::Sum, 5), Data::Stories(Language::Korean), Data::Text(given.clone())];
        let plain = sources.into_iter().map(|data| Run { data, ..run.clone() });
        for run in plain.chain([of_pairs, of_rewards]) {
            let [loss, grad_norm, learning_rate, seconds, tokens_per_second] = [2.0, 1.0, 1e-3, 0.5, 128.0];
            let step = |step| StepReport {
                step,
                loss,
                grad_norm,
                learning_rate,
                tokens: 64,
                seconds,
                tokens_per_second,
                peak_bytes: 9,
                flops_left_out: 0.25,
            };
            let pairs = vec![(3, DpoMetrics { margin: 0.25, ..DpoMetrics::default() })];
            let samples = vec![(3, SampleMetrics::default())];
            let done = History {
                steps: vec![step(2), step(3)],
                validations: Vec::new(),
                pairs: if run.has_pairs() { pairs } else { Vec::new() },
                samples: if run.settings.roll_outs.is_some() { samples } else { Vec::new() },
            };
            let snapshot = snapshot(&run);
            let files = files(&run, &done, &snapshot);
            let file = |name: &str| files.iter().find(|(own, _)| *own == name).map(|(_, bytes)| &bytes[..]);
            let started = started(file(RUN)).unwrap();
            let text = text_name(&started).map(|_| given.clone());
            assert_eq!(text_name(&started), text_path(&run).as_deref());
            assert_eq!(self::run(&started, &snapshot, text, at_hand(&run)).unwrap(), run);
            assert_eq!(history(file(METRICS).unwrap(), &snapshot), done);
            assert_eq!(Snapshot::from_bytes("", file(CHECKPOINT).unwrap()).unwrap(), snapshot);
        }
    }

    #[test]
    fn what_the_page_does_not_have_is_named() {
        let own = Form::default().run(None, Start::Seed, &Adapter::default()).unwrap();
        let mut snapshot = snapshot(&own);
        let refused = |snapshot: &Snapshot, arguments: &[&str]| {
            let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
            run(&RunFile { arguments, written: None }, snapshot, None, at_hand(&own)).unwrap_err().to_string()
        };
        assert!(refused(&snapshot, &["--model=tiny", "--data=recall-cut"]).contains("recall-cut"));
        assert!(refused(&snapshot, &["--model=tiny", "--data=/a/book.txt"]).contains("/a/book.txt"));
        assert!(refused(&snapshot, &["--model=tiny", "--data=own", "--tokenizer=/a/t.json"]).contains("/a/t.json"));
        assert!(refused(&snapshot, &["--model=tiny", "--data=preferences", "--reference=/models/other"]).contains("--reference"));
        let of_rewards = self::snapshot(&Form::learn_from_rewards().run(None, Start::Seed, &Adapter::default()).unwrap());
        assert!(refused(&of_rewards, &["--model=tiny", "--data=own"]).contains("rows of prompts"));
        let mut form = Form::default();
        form.has_adapters = true;
        snapshot.run.spec = form.plan(&Adapter::default()).unwrap().spec;
        assert!(refused(&snapshot, &["--model=/models/Qwen", "--data=own"]).contains("open that under Model"));

        assert!(started(None).unwrap_err().to_string().contains(RUN));
    }
}
