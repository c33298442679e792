//! A run goes from the page to the program and back: to the bits of one that stays where it is.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pollster::block_on;
use streambp::gpu::Kernels;
use streambp::model::archive::{Entry, Kind, unpack, zip};
use streambp::model::{RandomInit, WithAdapters};
use streambp::train::run_file::{CHECKPOINT, METRICS, RUN};
use streambp::train::{Dataset, Snapshot, SumTask, Task, Trainer, load_snapshot, plan_within};
use streambp::web::form::{Adapter, Field, Form, SourceChoice};
use streambp::web::protocol::{AtHand, Data, GivenText, History, Run, Start, TaskKind};
use streambp::web::run_files;

use crate::command_line::{PROGRAM, complaint, directory, run, text};
use crate::support::device;

const TEXT: &str = include_str!("terminal.rs");
const HALF: u64 = 5;
const STEPS: u64 = 10;

/// A form for a run of a model that trains in seconds.
fn form(source: SourceChoice) -> Form {
    let mut form = Form::default();
    form.source = source;
    let sizes = [(Field::HiddenSize, 32), (Field::IntermediateSize, 40), (Field::Layers, 2), (Field::HeadDim, 8)];
    let others = [(Field::SeqLen, 96), (Field::Chunk, 64), (Field::Warmup, 2), (Field::ValidateEvery, 3), (Field::Distance, 20)];
    sizes.into_iter().chain(others).for_each(|(field, value)| form.set(field, value));
    form.set(Field::Steps, STEPS);
    form
}

fn given() -> GivenText {
    GivenText { name: "a text.rs".to_owned(), size: TEXT.len() as u64, written: 1, may_be_rows: false }
}

fn dataset(run: &Run) -> Dataset {
    match &run.data {
        Data::Task(TaskKind::Sum, distance) => Dataset::task(Task::Sum(SumTask { distance: *distance }), run.settings.seq_len).unwrap(),
        Data::Text(_) => Dataset::text(TEXT.as_bytes().to_vec(), run.settings.seq_len).unwrap(),
        other => panic!("no test has {other:?}"),
    }
}

/// A run as the page begins it, perhaps from a state.
fn begin(run: &Run, state: Option<&Snapshot>) -> Trainer {
    block_on(async {
        let (gpu, settings, dataset) = (device::gpu(), run.settings.clone(), dataset(run));
        let plan = plan_within(settings.objective, &run.spec, &settings.batch_shape(&dataset), settings.strategy, run.budget, gpu.limits())
            .unwrap();
        let (kernels, fresh) = (Kernels::new(&gpu, plan).unwrap(), RandomInit { seed: settings.seed });
        let Some(state) = state else { return Trainer::new(kernels, settings, dataset, &fresh).await.unwrap() };
        let values = WithAdapters { base: &fresh, adapters: &state.weights };
        let mut trainer = match run.spec.adapters() {
            None => Trainer::new(kernels, settings, dataset, &state.weights).await.unwrap(),
            Some(_) => Trainer::new(kernels, settings, dataset, &values).await.unwrap(),
        };
        assert_eq!(state.check_run("", &trainer.run_id()).unwrap(), Vec::<String>::new());
        trainer.restore(state).await.unwrap();
        trainer
    })
}

/// Steps until so many are done, with the validations that the run has in between.
fn advance(run: &Run, trainer: &mut Trainer, history: &mut History, steps: u64) {
    while trainer.steps_done() < steps {
        let report = block_on(trainer.step()).unwrap();
        history.steps.push(report);
        if report.step.is_multiple_of(run.validate_every) {
            history.validations.push((report.step, block_on(trainer.validate()).unwrap()));
        }
    }
}

fn snapshot(trainer: &mut Trainer) -> Snapshot {
    block_on(trainer.snapshot()).unwrap()
}

/// What does not depend on the clock.
fn losses(history: &History) -> Vec<(u64, f64, f64, f64)> {
    history.steps.iter().map(|step| (step.step, step.loss, step.grad_norm, step.learning_rate)).collect()
}

/// Unpacks a zip of the page, as a visitor does.
fn unzip(zip: &[u8], directory: &Path) {
    for (name, entry) in unpack("run.zip", std::io::Cursor::new(zip), Kind::Run).unwrap() {
        let Entry::Within(range) = entry else { panic!("nothing is compressed") };
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &zip[range.start as usize..range.end as usize]).unwrap();
    }
}

/// What the page reads of a directory.
fn opened(directory: &Path) -> (Run, Snapshot, History) {
    let started = run_files::started(Some(&fs::read(directory.join(RUN)).unwrap())).unwrap();
    let snapshot = load_snapshot(&directory.join(CHECKPOINT)).unwrap();
    let history = run_files::history(&fs::read(directory.join(METRICS)).unwrap(), &snapshot);
    let at_hand = AtHand { start: Start::Seed, config: None, text: None, sample_every: 0, prompt: String::new(), budget: 64 << 20 };
    let text = run_files::text_name(&started).map(|_| given());
    (run_files::run(&started, &snapshot, text, at_hand).unwrap(), snapshot, history)
}

#[test]
fn a_run_of_the_page_goes_on_in_the_program_to_the_same_bits() {
    let mut adapted = form(SourceChoice::Task(TaskKind::Sum));
    adapted.has_adapters = true;
    for (name, form) in [("text", form(SourceChoice::Text)), ("adapters", adapted)] {
        let out = directory("from_the_page").join(name);
        let run_of_page = form.run(Some(given()), Start::Seed, &Adapter::default()).unwrap();
        let (mut trainer, mut history) = (begin(&run_of_page, None), History::default());
        advance(&run_of_page, &mut trainer, &mut history, HALF);
        let files = run_files::files(&run_of_page, &history, &snapshot(&mut trainer));
        let text_file = run_files::text_path(&run_of_page).map(|path| (path, TEXT.as_bytes().to_vec()));
        let files: Vec<_> = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).chain(text_file).collect();
        unzip(&zip(&files), &out);

        let resumed = run(&["train", "--resume", text(&out), "--json"]);
        let said = String::from_utf8_lossy(&resumed.stderr);
        assert!(resumed.status.success() && !said.contains(" was "), "{name}: {said}");
        advance(&run_of_page, &mut trainer, &mut history, STEPS);
        let uninterrupted = snapshot(&mut trainer);
        let (back, state, done) = opened(&out);
        assert!(state == uninterrupted, "{name}: the states differ");
        assert_eq!(losses(&done), losses(&history), "{name}");
        // The program validates after the last step, too.
        assert_eq!(done.validations[..history.validations.len()], history.validations, "{name}");
        assert_eq!((&back.spec, &back.settings, &back.data), (&run_of_page.spec, &run_of_page.settings, &run_of_page.data), "{name}");
        assert_eq!((back.vocabulary, back.validate_every), (run_of_page.vocabulary, run_of_page.validate_every), "{name}");
    }
}

#[test]
fn a_run_of_the_program_goes_on_in_the_page_to_the_same_bits() {
    let here = directory("to_the_page");
    let (whole, killed) = (here.join("whole"), here.join("killed"));
    fs::write(here.join("a text.rs"), TEXT).unwrap();
    let mut form = form(SourceChoice::Text);
    form.set(Field::Steps, 40);
    let command = form.command(Some(given()), Start::Seed).unwrap().line;
    // A shell splits it, as a visitor's does.
    let shell = |out: &Path| {
        let line =
            format!("{} --out '{}' --checkpoint-every 3 --no-tune --json", command.replacen("streambp", "exec \"$0\"", 1), out.display());
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, PROGRAM]).current_dir(&here).stdout(Stdio::null()).stderr(Stdio::null());
        shell
    };
    assert!(shell(&whole).status().unwrap().success());
    let mut child = shell(&killed).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !killed.join(CHECKPOINT).is_file() {
        assert!(Instant::now() < deadline, "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let (run, state, mut history) = opened(&killed);
    assert!(state.step < 40, "the run was over before it could be killed");
    assert_eq!(history.steps.len() as u64, state.step);
    let mut trainer = begin(&run, Some(&state));
    advance(&run, &mut trainer, &mut history, 40);
    let (_, uninterrupted, done) = opened(&whole);
    assert!(snapshot(&mut trainer) == uninterrupted, "the states differ");
    assert_eq!(losses(&history), losses(&done));
    assert_eq!(
        Form::of_run(&run).run(Some(given()), Start::Seed, &Adapter::default()).unwrap().settings,
        form.run(Some(given()), Start::Seed, &Adapter::default()).unwrap().settings
    );
}

#[test]
fn what_is_no_run_is_refused_by_name() {
    let here = directory("no_run");
    fs::write(here.join("run.zip"), zip(&[("a", "b")])).unwrap();
    assert!(complaint(&["train", "--resume", text(&here.join("run.zip"))]).contains("unpack it"));
    assert!(complaint(&["train", "--resume", text(&here)]).contains("has no run.json"));
    fs::write(here.join(RUN), "{").unwrap();
    assert!(complaint(&["train", "--resume", text(&here)]).contains("cannot be read"));
    let whole = ["--model", "tiny", "--data", "own", "--seq-len", "64", "--steps", "1"];
    let with = |more: &[&str]| complaint(&[&["train"], &whole[..], more].concat());
    assert!(with(&["--resume"]).contains("--resume DIR"));
    fs::remove_file(here.join(RUN)).unwrap();
    assert!(with(&["--resume", text(&here)]).contains("no checkpoint"));
    assert!(with(&["--resume", text(&here), "--out", "other"]).contains("leave out --out"));
}
