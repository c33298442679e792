//! Records what the lesson shows where there is no GPU, and writes `www/lesson/recorded.json`: `cargo run --release --example record_lesson`.
//! It takes some minutes on a CPU.

use std::sync::Arc;
use std::time::Instant;

use pollster::block_on;
use streambp::error::{Error, Result};
use streambp::gpu::{Executor, Gpu, Kernels};
use streambp::model::{Config, ModelSpec, PRESETS, Parameters, RandomInit, Weights};
use streambp::step::{Objective, Pass, Plan, Program, Strategy, StrategyKind, TOKEN_TILE};
use streambp::train::{Dataset, RecallTask, Settings, Task, Trainer, errors_in_f64, plan_within, verify};
use streambp::web::lesson::{RecallRun, Recorded};

const FILE: &str = "www/lesson/recorded.json";
/// Tokens of the steps that are timed.
const TIMED_TOKENS: u32 = 2048;
/// Steps that are timed of each strategy, after one that warms up.
const TIMED_STEPS: u32 = 5;
/// Tokens of the proof.
const PROOF_TOKENS: u32 = 256;
/// Sequence lengths at which recall is learned.
const LENGTHS: [u32; 4] = [64, 128, 256, 512];
/// Steps between validations, and steps of a run.
const VALIDATE_EVERY: u64 = 5;
const STEPS: u64 = 80;
/// Parts of the attention strip.
const PARTS: usize = 64;
/// Bytes that any of this may take.
const BUDGET: u64 = 1 << 30;

fn main() -> Result<()> {
    let recorded = block_on(async {
        let gpu = Gpu::open(None).await?;
        println!("{}", gpu.name());
        let proof = proof(&gpu).await?;
        let times = times(&gpu).await?;
        println!("seconds of a step: {times:?}");
        let mut recall = Vec::new();
        for tokens in LENGTHS {
            recall.push(learn(&gpu, tokens).await?);
        }
        Ok::<_, Error>(Recorded { adapter: gpu.name().to_owned(), proof, timed_tokens: TIMED_TOKENS, times, recall })
    })?;
    let json = serde_json::to_string(&recorded).expect("numbers and names");
    std::fs::write(FILE, json).map_err(|error| Error::io(FILE, error))
}

/// The gradients of the first preset under every strategy and three chunk lengths, and their errors.
async fn proof(gpu: &Gpu) -> Result<streambp::train::VerifyReport> {
    let spec = ModelSpec::from(&PRESETS[0].config);
    let batch = Dataset::own(PROOF_TOKENS)?.batch(0, 0, 1);
    let streams = [1, 2, 3].map(|tiles| Strategy::stream(tiles * TOKEN_TILE, TOKEN_TILE));
    let strategies = [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams);
    let program = |strategy| Program::gradients(&spec, batch.shape.clone(), strategy);
    let plans = strategies.map(|strategy| Plan::new(program(strategy), gpu.limits())).collect::<Result<Vec<Plan>>>()?;
    let values = RandomInit { seed: 0 };
    let (mut report, gradients) = verify(gpu, plans, &values, &batch, |_, _| Ok(())).await?;
    let weights = Weights::read(&values, Parameters::new(&spec).iter().map(|(_, parameter)| parameter)).await?;
    report.set_errors(&errors_in_f64(Objective::CrossEntropy, &spec, &weights, &batch, &gradients));
    Ok(report)
}

/// Seconds of a step of the first preset under every strategy: the shortest of some that are run in turn, so that whatever else the machine
/// does hits all of them. The first of each compiles and warms up.
async fn times(gpu: &Gpu) -> Result<[f64; 3]> {
    let spec = ModelSpec::from(&PRESETS[0].config);
    let batch = Dataset::own(TIMED_TOKENS)?.batch(0, 0, 1);
    let mut executors = Vec::new();
    for kind in StrategyKind::ALL {
        let plan = plan_within(Objective::CrossEntropy, &spec, &batch.shape, Strategy::new(kind, 128, 128), BUDGET, gpu.limits())?;
        let mut executor = Executor::new(Kernels::new(gpu, plan)?).await?;
        executor.load(&RandomInit { seed: 0 }).await?;
        executor.load_batch(&batch);
        executors.push(executor);
    }
    let mut times = [f64::INFINITY; 3];
    for _ in 0..=TIMED_STEPS {
        for (executor, time) in executors.iter_mut().zip(&mut times) {
            let started = Instant::now();
            executor.run(Pass::STEP).await?;
            executor.metrics().await?;
            *time = time.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(times)
}

/// A model of 0.1 M parameters.
fn small() -> Config {
    Config {
        hidden_size: 64,
        intermediate_size: 128,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: 32,
        ..PRESETS[0].config.clone()
    }
}

/// Learns recall at a length, with and without the facts.
async fn learn(gpu: &Gpu, tokens: u32) -> Result<RecallRun> {
    let (whole, attention) = curve(gpu, tokens, false).await?;
    let (cut, _) = curve(gpu, tokens, true).await?;
    println!("{tokens} tokens: {whole:?}; without the facts {cut:?}");
    Ok(RecallRun { tokens, whole, cut, attention })
}

/// The accuracy over the steps, and where the last question looks at the end.
async fn curve(gpu: &Gpu, tokens: u32, cut: bool) -> Result<(Vec<(u64, f64)>, Vec<f32>)> {
    let strategy = Strategy::stream(tokens / 2, tokens / 2);
    let settings = Settings {
        seq_len: tokens,
        batch: 2048 / tokens,
        steps: STEPS,
        learning_rate: 4e-3,
        weight_decay: 0.0,
        strategy,
        ..Settings::default()
    };
    let dataset = Arc::new(Dataset::task(Task::Recall(RecallTask { cut, ..RecallTask::default() }), tokens)?);
    let spec = ModelSpec::from(&small());
    let plan = plan_within(settings.objective, &spec, &settings.batch_shape(&dataset), settings.strategy, BUDGET, gpu.limits())?;
    let mut trainer = Trainer::new(Kernels::new(gpu, plan)?, settings, dataset, &RandomInit { seed: 0 }).await?;
    let mut points = vec![(0, trainer.validate().await?.accuracy.unwrap_or(0.0))];
    while trainer.steps_done() < STEPS {
        let report = trainer.step().await?;
        if report.step.is_multiple_of(VALIDATE_EVERY) {
            points.push((report.step, trainer.validate().await?.accuracy.unwrap_or(0.0)));
        }
    }
    let mut strongest = Vec::new();
    for (layer, head) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let pattern = trainer.attention(layer, head).await?;
        let last = pattern.weights.last().expect("a map has rows");
        let most = |weights: &[f32]| weights.iter().copied().fold(0.0, f32::max);
        let start = most(&last[..last.len() / 4]);
        if strongest.is_empty() || start > most(&strongest[..strongest.len() / 4]) {
            strongest.clone_from(last);
        }
    }
    let parts = PARTS.min(strongest.len());
    let part = |i: usize| &strongest[i * strongest.len() / parts..(i + 1) * strongest.len() / parts];
    Ok((points, (0..parts).map(|i| part(i).iter().copied().fold(0.0, f32::max)).collect()))
}
