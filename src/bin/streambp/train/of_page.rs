//! The command of a form of the page means the run of the form.

use clap::Parser;
use streambp::gpu::DeviceClass;
use streambp::model::{ActivationDtype, Dtype, Projection};
use streambp::step::{DpoLossType, GrpoLossType, Limits, StrategyKind};
use streambp::web::form::{Adapter, Field, Form, ObjectiveChoice, SourceChoice};
use streambp::web::model_protocol::Vocabulary;
use streambp::web::protocol::{Data, GivenText, Start, TaskKind};

use super::*;

#[derive(Parser)]
struct OfPage {
    #[command(flatten)]
    arguments: Arguments,
}

/// The words of a line, as a shell splits it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut is_quoted, mut is_escaped) = (vec![String::new()], false, false);
    for c in line.chars() {
        match c {
            _ if is_escaped => {
                words.last_mut().unwrap().push(c);
                is_escaped = false;
            }
            '\'' => is_quoted = !is_quoted,
            '\\' if !is_quoted => is_escaped = true,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    words
}

fn changed() -> Form {
    let mut form = Form::default();
    (form.source, form.vocabulary, form.tied) = (SourceChoice::Text, Vocabulary::Learned, false);
    let fields = [
        (Field::SeqLen, "96"),
        (Field::Batch, "2"),
        (Field::Chunk, "64"),
        (Field::LogitsChunk, "192"),
        (Field::HiddenSize, "64"),
        (Field::IntermediateSize, "96"),
        (Field::Layers, "3"),
        (Field::Heads, "8"),
        (Field::KeyValueHeads, "4"),
        (Field::HeadDim, "16"),
        (Field::VocabSize, "512"),
        (Field::RopeTheta, "12345.5"),
        (Field::LearningRate, "0.1"),
        (Field::MinLearningRate, "0.025"),
        (Field::Warmup, "3"),
        (Field::Steps, "77"),
        (Field::Accumulate, "4"),
        (Field::WeightDecay, "0.3"),
        (Field::MaxGradNorm, "0.7"),
        (Field::Beta1, "0.8"),
        (Field::Beta2, "0.9"),
        (Field::Epsilon, "1e-7"),
        (Field::Seed, "18446744073709551615"),
        (Field::ValidateEvery, "0"),
        (Field::Budget, "100.3"),
        (Field::Rank, "3"),
        (Field::Alpha, "7.5"),
        (Field::AdaptedLayers, "1-2"),
    ];
    fields.into_iter().for_each(|(field, value)| form.set(field, value));
    form.saved_activations = "attention,mlp:2".parse().unwrap();
    (form.offload, form.adaptive_chunks, form.has_adapters, form.use_rslora, form.frozen) = (true, true, true, true, Dtype::Int8);
    form.targets = vec![Projection::Query, Projection::Down];
    form.activation_dtype = ActivationDtype::Bf16;
    form
}

fn with(form: Form, change: impl FnOnce(&mut Form)) -> Form {
    let mut form = form;
    change(&mut form);
    form
}

fn forms() -> Vec<Form> {
    let of_source = |form: &mut Form, source: SourceChoice| {
        let objective = ObjectiveChoice::ALL.into_iter().find(|&objective| source.goes_with(objective));
        (form.source, form.objective) = (source, objective.expect("an objective takes it"));
    };
    let sources = SourceChoice::ALL.into_iter().map(|source| with(Form::default(), |form| of_source(form, source)));
    let strategies = StrategyKind::ALL.into_iter().map(|strategy| with(changed(), |form| form.strategy = strategy));
    let others = [
        changed(),
        with(Form::default(), |form| form.has_adapters = true),
        with(changed(), |form| {
            (form.objective, form.loss_type) = (ObjectiveChoice::Dpo, DpoLossType::Sigmoid);
            [(Field::Beta, "0.25"), (Field::LabelSmoothing, "0.125")].into_iter().for_each(|(field, value)| form.set(field, value));
        }),
        with(changed(), |form| (form.objective, form.loss_type) = (ObjectiveChoice::Dpo, DpoLossType::Ipo)),
        with(Form::learn_from_rewards(), |form| form.set(Field::Batch, "8")),
        with(Form::learn_from_rewards(), |form| {
            form.grpo_loss_type = GrpoLossType::DrGrpo;
            let fields = [
                (Field::Beta, "0.125"),
                (Field::ClipEpsilon, "0.25"),
                (Field::Temperature, "0.75"),
                (Field::NumIterations, "3"),
                (Field::NumGenerations, "16"),
                (Field::SftSteps, "0"),
                (Field::Rewards, "answer regex:^[a-z]*$ length:8*-0.5"),
            ];
            fields.into_iter().for_each(|(field, value)| form.set(field, value));
        }),
        with(changed(), |form| form.source = SourceChoice::OwnSource),
        with(changed(), |form| (form.source, form.has_adapters) = (SourceChoice::Task(TaskKind::Sort), false)),
    ];
    sources.chain(strategies).chain(others).collect()
}

#[test]
fn the_command_of_a_form_means_the_run_of_the_form() {
    let text = GivenText { name: "it's a\n\"book\" of $HOME.txt".to_owned(), size: 9, written: 1, may_be_rows: false };
    for form in forms() {
        let run = form.run(Some(text.clone()), Start::Seed, &Adapter::default()).unwrap();
        let line = form.command(Some(text.clone()), Start::Seed).unwrap().line;
        let words = words(&line);
        assert_eq!(words[..2], ["streambp", "train"]);
        let parsed = OfPage::try_parse_from(&words[1..]).unwrap_or_else(|error| panic!("{line}: {error}"));
        let arguments = parsed.arguments;
        let (shape, speed) =
            (BatchShape::uniform(run.settings.batch * run.settings.objective.sequences(), arguments.seq_len), DeviceClass::TYPICAL.speed());
        let (strategy, _) = arguments.strategy.resolve(run.settings.objective, &run.spec, &shape, arguments.budget, Limits::NONE, &speed);
        assert_eq!(Settings { strategy, ..arguments.settings().unwrap() }, run.settings, "{line}");
        assert!(!arguments.strategy.is_open(), "{line}");
        assert_eq!(pollster::block_on(arguments.model.open(arguments.seed)).unwrap().spec, run.spec, "{line}");
        assert_eq!((arguments.budget, arguments.val_every), (Some(run.budget), run.validate_every), "{line}");
        let data = match &run.data {
            Data::OwnSource => "own",
            Data::Stories(language) => SourceChoice::Stories(*language).name(),
            Data::Preferences(language) => SourceChoice::Preferences(*language).name(),
            Data::Task(task, distance) => {
                assert_eq!(arguments.distance, *distance);
                task.name()
            }
            Data::Text(_) => "it's a__book_ of $HOME.txt",
        };
        assert_eq!(arguments.data, data);
        let learns = run.vocabulary == Vocabulary::Learned && !run.data.is_generated();
        assert_eq!(arguments.text.train_tokenizer, learns.then_some(run.spec.config.vocab_size), "{line}");
    }
}
