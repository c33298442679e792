//! Group relative policy optimisation against PyTorch in float64. See `tests/fixtures/rewards.py`.

use std::path::Path;

use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, GrpoSettings, Limits, Objective, Pass, Plan, Program, Strategy};
use streambp::train::{GrpoMetrics, SampledBatch, read_samples};
use streambp::{gpu, reference};

use crate::command_line::{complaint, directory, json, run, small_model, text};
use crate::support::fixture::ObjectiveFixture;
use crate::support::model::DeviceStep;
use crate::support::{device, level, model};

/// A fixture of sampled completions.
struct Rewards {
    fixture: ObjectiveFixture<GrpoSettings>,
    batch: Batch,
}

impl Rewards {
    fn all() -> Vec<Rewards> {
        ObjectiveFixture::all("grpo", 8).into_iter().map(Rewards::new).collect()
    }

    fn new(mut fixture: ObjectiveFixture<GrpoSettings>) -> Rewards {
        let read = read_samples("batch", &fixture.batch_file, fixture.spec.config.vocab_size).unwrap();
        let SampledBatch { batch, advantages, old_log_probs, ref_log_probs } = read;
        fixture.settings.has_old_log_probs = old_log_probs.is_some();
        assert_eq!(ref_log_probs.is_some(), fixture.settings.has_reference(), "{}", fixture.name);
        let mean = fixture.settings.mean();
        let batch = batch.in_samples(mean, advantages, old_log_probs.unwrap_or_default(), ref_log_probs.unwrap_or_default());
        Rewards { fixture, batch }
    }

    fn program(&self, strategy: Strategy) -> Program {
        Program::gradients_for(Objective::Grpo(self.fixture.settings), &self.fixture.spec, self.batch.shape.clone(), strategy)
    }

    fn check(&self, what: &str, (loss, found): (f64, &[f32]), gradients: &[Vec<f64>], tolerance: f64) {
        let expected = self.fixture.expected("loss")[0];
        assert!((loss - expected).abs() <= tolerance * expected.abs().max(0.1), "{what} loss: {loss}, and {expected} is expected");
        self.fixture.check(what, gradients, tolerance, &GrpoMetrics::of(&self.fixture.settings, found));
    }
}

/// Both are float64, so they differ only by rounding; but weights and log-probabilities of the batch are rounded to f32.
#[test]
fn the_reference_computes_what_pytorch_computes() {
    for case in Rewards::all() {
        let program = case.program(Strategy::stream(64, 64));
        let mut executor = reference::Executor::new(&program);
        executor.load_weights(&case.fixture.weights);
        executor.load_batch(&case.batch);
        executor.run(Pass::GRADIENTS);
        let loss = executor.read(program.bindings.metrics)[LOSS];
        let found: Vec<f32> = executor.read(program.bindings.samples.unwrap().sequence_metrics).iter().map(|&value| value as f32).collect();
        let gradients: Vec<Vec<f64>> = program.parameters.trainable().map(|(id, _)| executor.gradient(id)).collect();
        case.check(&case.fixture.name, (loss, &found), &gradients, 1e-6);
    }
}

#[test]
fn the_device_computes_what_pytorch_computes_with_the_same_bits_in_every_strategy() {
    let strategies = [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(128, 64), Strategy::stream(64, 128).offloading(true)];
    for (number, case) in Rewards::all().into_iter().enumerate() {
        let [first, others @ ..] = &level::share(strategies, 3, number)[..] else { panic!("there is a strategy") };
        let step = |strategy: Strategy| {
            let program = case.program(strategy);
            let mut executor: gpu::Executor = model::device_executor(&program, device::own_tuning(), &case.fixture.weights, &case.batch);
            let step: DeviceStep = model::device_step(&mut executor);
            let found = device::read(&executor, program.bindings.samples.unwrap().sequence_metrics);
            (step, found)
        };
        let (expected, found) = step(*first);
        let gradients: Vec<Vec<f64>> = expected.gradients.iter().map(|g| g.iter().map(|&value| f64::from(value)).collect()).collect();
        case.check(&format!("{} on the device", case.fixture.name), (expected.loss.into(), &found), &gradients, 1e-4);
        for &strategy in others {
            let (other, found_by_it) = step(strategy);
            assert!(other.bits() == expected.bits() && found_by_it == found, "{}, {strategy:?}", case.fixture.name);
        }
    }
}

/// What the plan has for it: 4 bytes a token for each log-probability that the batch brings along, and less than a tile for the rest.
#[test]
fn log_probabilities_of_the_batch_are_planned() {
    let config = model::odd_config();
    let peak = |beta, has_old_log_probs, tokens| {
        let objective = Objective::Grpo(GrpoSettings { beta, has_old_log_probs, ..GrpoSettings::default() });
        let program = Program::train_for(objective, &config, streambp::step::BatchShape::uniform(2, tokens), Strategy::stream(64, 64));
        Plan::new(program, Limits::NONE).unwrap().peak_bytes()
    };
    let more = |beta, has_old_log_probs| peak(beta, has_old_log_probs, 2048) - peak(0.0, false, 2048);
    assert_eq!([more(0.0, true), more(0.1, false), more(0.1, true)], [16_384, 16_384, 32_768]);
}

#[test]
fn the_command_line_takes_what_it_can_and_refuses_the_rest_by_name() {
    let directory = directory("rewards");
    let (model, out) = (small_model(&directory), directory.join("out.safetensors"));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let (batch, of_fixture) = (fixtures.join("grpo/dapo/batch.safetensors"), fixtures.join("gqa_untied"));
    let grad = ["grad", "--model", text(&of_fixture), "--batch", text(&batch), "--out", text(&out)];
    let found = json(&[&grad[..], &["--objective", "grpo", "--epsilon-high", "0.28", "--json"]].concat());
    assert!(found["loss"].is_number() && found["clip_ratio/region_mean"].as_f64().unwrap() > 0.0, "{found}");
    let said = |arguments: &[&str]| complaint(&[&grad[..], arguments].concat());
    assert!(said(&["--objective", "grpo", "--loss-type", "sigmoid"]).contains("dapo, grpo, bnpo, dr_grpo"));
    assert!(said(&["--objective", "grpo", "--label-smoothing", "0.1"]).contains("belongs to --objective dpo"));
    assert!(said(&["--objective", "dpo", "--epsilon", "0.1"]).contains("belongs to --objective grpo"));
    assert!(said(&["--epsilon", "0.1"]).contains("belongs to --objective grpo"));
    assert!(said(&["--objective", "grpo", "--temperature", "0"]).contains("temperature is 0"));
    let of = |command: &'static str, more: &[&str]| {
        complaint(&[&[command, "--model", text(&model), "--seq-len", "40", "--objective", "grpo"][..], more].concat())
    };
    let train = |more: &[&str]| of("train", &[&["--steps", "1", "--max-completion-length", "10"][..], more].concat());
    assert!(train(&["--data", "own"]).contains("own has no prompts"));
    assert!(of("train", &["--steps", "1", "--data", "sort", "--max-completion-length", "40"]).contains("no room for a prompt"));
    assert!(train(&["--data", "sort", "--batch", "12"]).contains("no whole groups of 8"));
    assert!(train(&["--data", "sort", "--scale-rewards", "all"]).contains("there are group, batch, none"));
    assert!(train(&["--data", "sort", "--rewards", "regex:("]).contains("regex"));
    let rows = directory.join("rows.jsonl");
    std::fs::write(&rows, "{\"prompt\": \"ab\"}\n".repeat(20)).unwrap();
    assert!(train(&["--data", text(&rows)]).contains("--reward-command COMMAND"));
    let command = ["--data", text(&rows), "--reward-command", "echo it broke >&2; exit 3", "--objective", "grpo", "--seq-len", "40"];
    let failed = run(&[&["train", "--model", text(&model), "--steps", "1", "--max-completion-length", "10"][..], &command].concat());
    let failed = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(failed.contains("exit status: 3") && failed.trim_end().ends_with("it broke"), "{failed}");
    let sft = ["train", "--model", text(&model), "--data", "sort", "--seq-len", "40", "--steps", "1", "--top-p", "0.9"];
    assert!(complaint(&sft).contains("--top-p belongs to --objective grpo"));
    assert!(of("verify", &["--data", "sort", "--max-completion-length", "50"]).contains("no room for a prompt"));
    let verify = ["verify", "--model", text(&model), "--seq-len", "96", "--objective", "grpo", "--data", "sort", "--chunks", "64"];
    let report = json(&[&verify[..], &["--batch", "4", "--max-completion-length", "8", "--json"]].concat());
    assert_eq!(report["same_bits"], true);
}
