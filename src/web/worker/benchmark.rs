//! Measurements beside the run: the strategies timed, and the proof that their gradients are the same bits.

use std::ops::Range;

use web_time::Instant;

use super::messages::send;
use super::model_client::ModelClient;
use crate::error::Result;
use crate::gpu::{Ceilings, Executor, Gpu, Kernels};
use crate::model::{Parameters, WeightSource, Weights};
use crate::step::{Batch, Objective, Pass, Plan, Program, Strategy, StrategyKind, TOKEN_TILE};
use crate::train::{Dataset, Profile, batch_of_objective, errors_in_f64, plan_within, verify, with_reference};
use crate::web::protocol::{FromWorker, Run};

/// Tokens of the proof, at most: the f64 reference runs on one core of the CPU.
const PROOF_TOKENS: u32 = 320;
/// Parameters of a model whose gradients are computed in f64 too, at most: they take eight bytes each, several times over.
const REFERENCE_PARAMETERS: u64 = 30_000_000;

/// The batch of the run's first step, or what stands in for it.
fn first_batch(run: &Run, dataset: &Dataset, sequences: u32) -> Batch {
    batch_of_objective(dataset, run.settings.objective, run.settings.seed, 0, sequences)
}

/// Times a step under every strategy, one after the other. The first step compiles and warms up, and is not counted.
pub async fn compare(gpu: &Gpu, run: &Run, dataset: &Dataset, models: &ModelClient) -> Result<()> {
    let values = &models.first_values(run);
    let batch = with_reference(gpu, run.settings.objective, &run.spec, values, first_batch(run, dataset, run.settings.batch)).await?;
    let mut known = Vec::new();
    for kind in StrategyKind::ALL {
        let strategy = run.settings.strategy.of_kind(kind, run.chunks);
        let seconds = time(gpu, run, values, strategy, &batch).await.map_err(|error| error.to_string());
        known.push((kind, seconds));
        send(&FromWorker::Compared(known.clone()));
    }
    Ok(())
}

/// What every operation of the run's step takes.
pub async fn profile(gpu: &Gpu, run: &Run, dataset: &Dataset, models: &ModelClient, ceilings: Ceilings) -> Result<Profile> {
    let values = &models.first_values(run);
    let batch = with_reference(gpu, run.settings.objective, &run.spec, values, first_batch(run, dataset, run.settings.batch)).await?;
    let mut executor = ready(gpu, run, values, run.settings.strategy, &batch).await?;
    // The first time compiles and warms up.
    executor.run(Pass::GRADIENTS).await?;
    Profile::of(&mut executor, ceilings).await
}

/// A step on its device, with its weights and its batch.
async fn ready(gpu: &Gpu, run: &Run, values: &impl WeightSource, strategy: Strategy, batch: &Batch) -> Result<Executor> {
    let plan = plan_within(run.settings.objective, &run.spec, &batch.planned_shape(), strategy, run.budget, gpu.limits())?;
    let mut executor = Executor::new(Kernels::new(&gpu.used_for("comparison"), plan)?).await?;
    executor.load(values).await?;
    executor.load_batch(batch);
    Ok(executor)
}

async fn time(gpu: &Gpu, run: &Run, values: &impl WeightSource, strategy: Strategy, batch: &Batch) -> Result<f64> {
    let mut executor = ready(gpu, run, values, strategy, batch).await?;
    let mut seconds = 0.0;
    for _ in 0..2 {
        let started = Instant::now();
        executor.run(Pass::STEP).await?;
        executor.metrics().await?;
        seconds = started.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// The end of a batch, or of both sequences of its first pair: the labels of a task stand there.
fn shortened(objective: Objective, batch: &Batch) -> Batch {
    let end_of = |range: Range<u32>, most: u32| {
        let places = range.end.saturating_sub(most).max(range.start) as usize..range.end as usize;
        (batch.input_ids[places.clone()].to_vec(), batch.labels[places].to_vec())
    };
    match *batch.shape.lengths() {
        [chosen, rejected, ..] if batch.pairs > 0 => {
            let pair = [0..chosen, chosen..chosen + rejected].map(|sequence| end_of(sequence, PROOF_TOKENS / 2));
            let pair = Batch::new(pair.into());
            let log_probs = vec![0.0; pair.input_ids.len()];
            pair.in_pairs(1, log_probs)
        }
        _ => {
            let whole = Batch::new(vec![end_of(0..batch.shape.tokens(), PROOF_TOKENS)]);
            match (objective, batch.advantages.first()) {
                (Objective::Grpo(grpo), Some(&advantage)) => whole.in_samples(grpo.mean(), vec![advantage], Vec::new(), Vec::new()),
                _ => whole,
            }
        }
    }
}

/// Computes the gradients of the run's first batch (cut short, if it is long) under every strategy with several chunk
/// lengths, and in f64 unless the model is too large for that.
pub async fn prove(gpu: &Gpu, run: &Run, dataset: &Dataset, models: &ModelClient) -> Result<()> {
    let values = &models.first_values(run);
    let batch =
        with_reference(gpu, run.settings.objective, &run.spec, values, shortened(run.settings.objective, &first_batch(run, dataset, 1)))
            .await?;
    let lengths = [1, 2, 3].map(|tiles| tiles * TOKEN_TILE).into_iter().filter(|&chunk| chunk < batch.shape.tokens());
    let streams = lengths.map(|chunk| Strategy::stream(chunk, TOKEN_TILE));
    let strategies = [Strategy::STANDARD, Strategy::CHECKPOINT].into_iter().chain(streams);
    let objective = run.settings.objective;
    let program = |strategy| Program::gradients_for(objective, &run.spec, batch.planned_shape(), strategy);
    let plans = strategies.map(|strategy| Plan::new(program(strategy), gpu.limits())).collect::<Result<Vec<Plan>>>()?;
    let parameters = Parameters::new(&run.spec);
    let with_reference = parameters.elements() <= REFERENCE_PARAMETERS;
    let all = plans.len() + usize::from(with_reference);
    let progress = |done, _| {
        send(&FromWorker::Proving(done, all));
        Ok(())
    };
    let (mut report, gradients) = verify(&gpu.used_for("proof"), plans, values, &batch, progress).await?;
    if with_reference {
        let weights = Weights::read(values, parameters.iter().map(|(_, parameter)| parameter)).await?;
        report.set_errors(&errors_in_f64(objective, &run.spec, &weights, &batch, &gradients));
    }
    send(&FromWorker::Proved(Box::new(report)));
    Ok(())
}
