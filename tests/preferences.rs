//! Direct preference optimisation against PyTorch in float64. See `tests/fixtures/preferences.py`.

use std::path::{Path, PathBuf};

use streambp::gpu::Tuning;
use streambp::model::{Config, ModelSpec, Parameters, Role, Weights};
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, BatchShape, DpoSettings, IGNORED_LABEL, Limits, Objective, Pass, Plan, Program, Strategy};
use streambp::train::{AdaptersOff, DpoMetrics, read_pairs, reference_log_probs};
use streambp::{gpu, reference};

use crate::command_line::{complaint, directory, json, run, small_model, text};
use crate::support::fixture::ObjectiveFixture;
use crate::support::model::DeviceStep;
use crate::support::{compare, device, level, model};

/// A fixture of pairs.
struct Preferences {
    fixture: ObjectiveFixture<DpoSettings>,
    /// The log-probabilities of the reference are zero unless the file has them.
    batch: Batch,
    has_reference: bool,
}

impl Preferences {
    fn all() -> Vec<Preferences> {
        ObjectiveFixture::all("dpo", 6).into_iter().map(Preferences::new).collect()
    }

    fn new(fixture: ObjectiveFixture<DpoSettings>) -> Preferences {
        let (batch, said) = read_pairs("batch", &fixture.batch_file, fixture.spec.config.vocab_size).unwrap();
        let has_reference = said.is_some();
        let (pairs, tokens) = (batch.shape.lengths().len() as u32 / 2, batch.input_ids.len());
        let batch = batch.in_pairs(pairs, said.unwrap_or_else(|| vec![0.0; tokens]));
        Preferences { fixture, batch, has_reference }
    }

    fn program(&self, strategy: Strategy) -> Program {
        Program::gradients_for(Objective::Dpo(self.fixture.settings), &self.fixture.spec, self.batch.shape.clone(), strategy)
    }

    fn check(&self, what: &str, (loss, pairs): (f64, &[f32]), gradients: &[Vec<f64>], tolerance: f64) {
        compare::norm(&format!("{what} loss"), &[loss], &self.fixture.expected("loss"), tolerance).unwrap();
        self.fixture.check(what, gradients, tolerance, &DpoMetrics::of(&self.fixture.settings, pairs));
    }
}

/// What a model says of the labels, in f64.
fn said_in_f64(spec: &ModelSpec, weights: &Weights, batch: &Batch) -> Vec<f64> {
    let program = Program::evaluation(spec, batch.shape.clone(), Strategy::stream(64, 64));
    let mut executor = reference::Executor::new(&program);
    executor.load_weights(weights);
    executor.load_batch(batch);
    executor.run(Pass::Forward..=Pass::Loss);
    executor.read(program.bindings.log_probs).to_vec()
}

/// The weights with adapters that change nothing.
fn without_adapters(spec: &ModelSpec, weights: &Weights) -> Weights {
    let parameters = Parameters::new(spec);
    let values = parameters.iter().map(|(_, parameter)| match parameter.role {
        Role::LoraB(_) => vec![0.0; parameter.elements()],
        _ => weights.get(&parameter.name).to_vec(),
    });
    let values: Vec<Vec<f32>> = values.collect();
    Weights::of(parameters.iter().map(|(_, parameter)| parameter), values)
}

/// Both are float64, so they differ only by rounding.
#[test]
fn the_reference_computes_what_pytorch_computes() {
    for case in Preferences::all() {
        let Preferences { fixture: ObjectiveFixture { name, spec, weights, .. }, batch, .. } = &case;
        let program = case.program(Strategy::stream(64, 64));
        let mut executor = reference::Executor::new(&program);
        executor.load_weights(weights);
        executor.load_batch(batch);
        let weight = 1.0 / f64::from(batch.pairs);
        let exact: Vec<f64> = batch.labels.iter().map(|&label| if label == IGNORED_LABEL { 0.0 } else { weight }).collect();
        executor.write_f64(program.bindings.loss_weight, &exact);
        let pairs = program.bindings.pairs.unwrap();
        if !case.has_reference {
            executor.write_f64(pairs.ref_log_probs, &said_in_f64(spec, &without_adapters(spec, weights), batch));
        }
        executor.run(Pass::GRADIENTS);
        let gradients: Vec<Vec<f64>> = program.parameters.trainable().map(|(id, _)| executor.gradient(id)).collect();
        let sums: Vec<f32> = executor.read(pairs.sequence_log_probs).iter().map(|&value| value as f32).collect();
        case.check(name, (executor.read(program.bindings.metrics)[LOSS], &sums), &gradients, 1e-10);
    }
}

#[test]
fn the_device_computes_what_pytorch_computes_with_the_same_bits_in_every_strategy() {
    let others = [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(128, 64), Strategy::stream(192, 128)];
    for (number, case) in Preferences::all().into_iter().enumerate() {
        let step = |strategy, tuning| on_device(&case, strategy, tuning);
        let [own, classes @ ..] = &device::tunings()[..] else { panic!("the device has a tuning") };
        let (first, sums) = step(Strategy::stream(64, 64), *own);
        check_device(&case, &first, &sums);
        for tuning in level::share(classes, 2, number) {
            let (other, sums) = step(Strategy::stream(64, 64), *tuning);
            check_device(&case, &other, &sums);
        }
        for strategy in level::share(others, 2, number) {
            assert!(step(strategy, *own).0.bits() == first.bits(), "{}, {strategy:?}", case.fixture.name);
        }
    }
}

/// A step, for which the same kernels have said what the reference does: where that is the model itself, nothing may differ.
fn on_device(case: &Preferences, strategy: Strategy, tuning: Tuning) -> (DeviceStep, Vec<f32>) {
    let ObjectiveFixture { spec, weights, settings, .. } = &case.fixture;
    let (program, mut batch) = (case.program(strategy), case.batch.clone());
    if !case.has_reference {
        let (gpu, values) = (device::gpu().with_tuning(tuning), AdaptersOff(weights));
        batch.ref_log_probs = pollster::block_on(reference_log_probs(&gpu, Objective::Dpo(*settings), spec, &values, &batch)).unwrap();
    }
    let mut executor: gpu::Executor = model::device_executor(&program, tuning, weights, &batch);
    let step = model::device_step(&mut executor);
    let sums = device::read(&executor, program.bindings.pairs.unwrap().sequence_log_probs);
    (step, sums)
}

fn check_device(case: &Preferences, step: &DeviceStep, sums: &[f32]) {
    let gradients: Vec<Vec<f64>> = step.gradients.iter().map(|values| values.iter().map(|&value| f64::from(value)).collect()).collect();
    case.check(&case.fixture.name, (f64::from(step.loss), sums), &gradients, 2e-5);
}

/// An objective needs no memory that grows with the tokens but for what the reference says of each.
#[test]
fn pairs_take_as_much_memory_as_sequences() {
    let config = Config { num_hidden_layers: 3, ..model::odd_config() };
    let bytes = |objective, tokens: u32| {
        let batch = BatchShape::uniform(2, tokens / 2);
        let program = Program::train_for(objective, &config, batch, Strategy::stream(64, 64));
        Plan::new(program, Limits::NONE).unwrap().peak_bytes()
    };
    let of_token = |objective| (bytes(objective, 8192) - bytes(objective, 4096)) as f64 / 4096.0;
    let (sft, dpo) = (of_token(Objective::CrossEntropy), of_token(Objective::Dpo(DpoSettings::default())));
    assert!((dpo - sft - 4.0).abs() < 0.1, "{dpo} bytes a token, {sft} without pairs");
}

/// `grad` takes what PyTorch was given, and says the loss and the metrics that it computed.
#[test]
fn the_program_takes_pairs() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let here = directory("preferences");
    let (model, pairs, out) = (fixtures.join("gqa_untied"), fixtures.join("dpo/sigmoid/batch.safetensors"), here.join("out.safetensors"));
    let other = fixtures.join("tied_batch");
    let grad = |batch: &Path, more: &[&str]| -> Vec<String> {
        let fixed = ["grad", "--model", text(&model), "--batch", text(batch), "--out", text(&out), "--json"];
        fixed.iter().chain(more).map(|&argument| argument.to_owned()).collect()
    };
    let answer = |batch: &Path, more: &[&str]| json(&grad(batch, more).iter().map(String::as_str).collect::<Vec<_>>());
    let said = |batch: &Path, more: &[&str]| complaint(&grad(batch, more).iter().map(String::as_str).collect::<Vec<_>>());
    let expected = ObjectiveFixture::<DpoSettings>::read("dpo/sigmoid");
    let found = answer(&pairs, &["--objective", "dpo", "--beta", "0.3"]);
    for name in ["loss", "rewards/margins", "rewards/accuracies", "logps/rejected"] {
        assert!((found[name].as_f64().unwrap() - expected.expected(name)[0]).abs() < 1e-4, "{name}: {found}");
    }
    // Without ref_log_probs the model is its own reference; another one may be named.
    let without = fixtures.join("dpo/own_reference_packed/batch.safetensors");
    let found = answer(&without, &["--objective", "dpo", "--loss-type", "hinge"]);
    assert_eq!((found["loss"].as_f64(), found["rewards/margins"].as_f64()), (Some(1.0), Some(0.0)));
    let refused = said(&without, &["--objective", "dpo", "--reference", text(&other)]);
    assert!(refused.contains("knows 48 tokens, and the model 61"), "{refused}");

    assert!(said(&pairs, &["--beta", "0.3"]).contains("--beta belongs to --objective dpo"));
    assert!(said(&pairs, &["--objective", "dpo", "--beta", "0"]).contains("beta is 0; it must be a positive number"));
    assert!(said(&pairs, &["--objective", "dpo", "--reference", text(&other)]).contains("leave out one of the two"));
    assert!(said(&pairs, &[]).contains("ref_log_probs, which is not read"));
    assert!(said(&without, &["--reference", text(&other)]).contains("belongs to --objective dpo"));
    let odd = said(&fixtures.join("tied_batch/batch.safetensors"), &["--objective", "dpo"]);
    assert!(odd.contains("has 3 sequences"), "{odd}");
}

/// Rows of two right answers in two forms, of which one is chosen; and rows to learn both forms from.
fn write_rows(here: &Path) -> [PathBuf; 2] {
    let (names, things) = (["Ann", "Bob", "Cat", "Dan", "Eve"], ["hat", "key", "cup", "pen", "map"]);
    let (mut both, mut compared) = (String::new(), String::new());
    for (i, (name, thing)) in names.iter().flat_map(|name| things.map(|thing| (name, thing))).cycle().take(100).enumerate() {
        let prompt = format!("{name} has the {thing}. Who has the {thing}?");
        let answers = [format!(" It is {name}."), format!(" {name} has it.")];
        both += &format!("{}\n", serde_json::json!({ "prompt": prompt, "completion": answers[i % 2] }));
        let row = match i % 2 {
            0 => serde_json::json!({ "prompt": prompt, "chosen": answers[0], "rejected": answers[1] }),
            // The prompt is what both begin with.
            _ => serde_json::json!({ "chosen": format!("{prompt}{}", answers[0]), "rejected": format!("{prompt}{}", answers[1]) }),
        };
        compared += &format!("{row}\n");
    }
    [("both.jsonl", both), ("pairs.jsonl", compared)].map(|(name, rows)| {
        let path = here.join(name);
        std::fs::write(&path, rows).unwrap();
        path
    })
}

/// A model that was trained on both forms learns which one is chosen, in pairs that it has not seen, too. A run that is interrupted ends in
/// the same bits.
#[test]
fn a_preference_is_learned() {
    let here = directory("preference-learned");
    let [both, pairs] = write_rows(&here);
    let (untrained, sft) = (small_model(&here), here.join("sft"));
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let output = run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let fixed = ["--tokenizer", "bytes", "--seq-len", "64", "--json", "--warmup", "5"];
    let of_both = ["train", "--model", text(&untrained), "--data", text(&both), "--out", text(&sft), "--batch", "8", "--steps", "60"];
    lines(&[&of_both[..], &fixed].concat());
    let dpo = |out: &Path, steps: &str, more: &[&str]| {
        let of_pairs = ["train", "--model", text(&sft), "--data", text(&pairs), "--out", text(out), "--batch", "4", "--accumulate", "2"];
        let objective = ["--objective", "dpo", "--beta", "0.2", "--lr", "1e-3", "--min-lr", "1e-3", "--steps", steps];
        lines(&[&of_pairs[..], &fixed, &objective, more].concat())
    };
    let [straight, resumed] = ["straight", "resumed"].map(|name| here.join(name));
    let steps = dpo(&straight, "30", &[]);
    let at = |step: usize, name: &str| steps[step][name].as_f64().unwrap();
    // Before the first update the model is its reference, which was asked in other batches.
    assert!(
        at(0, "rewards/margins").abs() < 1e-5 && (at(0, "loss") - 2f64.ln()).abs() < 1e-6 && at(29, "loss") < 0.5 * at(0, "loss"),
        "{}",
        steps[29]
    );
    assert!(at(29, "rewards/margins") > 1.0 && at(29, "rewards/chosen") > at(29, "rewards/rejected"), "{}", steps[29]);
    assert!(at(29, "validation_accuracy") >= 0.95, "{}", steps[29]);

    dpo(&resumed, "12", &[]);
    dpo(&resumed, "30", &["--resume"]);
    let weights = |out: &Path| std::fs::read(out.join("model.safetensors")).unwrap();
    assert!(weights(&straight) == weights(&resumed), "the resumed run ends in other bits");

    let refused = |arguments: &[&str]| complaint(&[arguments, &["--seq-len", "64", "--steps", "1"]].concat());
    let sft = ["train", "--model", text(&sft), "--data"];
    assert!(refused(&[&sft[..], &[text(&both), "--objective", "dpo"]].concat()).contains("line 1: has no \"chosen\" and \"rejected\""));
    assert!(
        refused(&[&sft[..], &[text(&pairs)]].concat()).contains("line 1: has \"chosen\" and \"rejected\", which only the objective dpo")
    );
    assert!(refused(&[&sft[..], &["stories", "--objective", "dpo"]].concat()).contains("stories"));
}
