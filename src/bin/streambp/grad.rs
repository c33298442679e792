use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use streambp::error::{Error, Result};
use streambp::gpu::{Executor, Gpu, Kernels};
use streambp::model::{ModelSpec, WeightSource};
use streambp::step::{Batch, GrpoSettings, Objective, Pass, Plan, Program, update::metrics};
use streambp::train::{
    AdaptersOff, DpoMetrics, GrpoMetrics, SampledBatch, read_batch, read_pairs, read_samples, reference_log_probs, sequence_log_probs,
    sequence_metrics, tensors_to_file,
};

use crate::options::{
    ModelOptions, ObjectiveOptions, Opened, SampleOptions, StrategyOptions, human_bytes, open_reference, refuse_reference,
};
use crate::out_directory::refuse_to_replace;
use crate::output;
use crate::ranks::RankOptions;
use crate::session::Session;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Safetensors file with input_ids, labels, position_ids (for packed sequences) and attention_mask (for padded ones), int64, [B, T]; for
    /// dpo rows 2p and 2p+1 are the chosen and the rejected answer of pair p, and there may be ref_log_probs, float32, [B, T]; for grpo
    /// there are advantages, float32, [B], and there may be old_log_probs and ref_log_probs, float32, [B, T]
    #[arg(long)]
    batch: PathBuf,
    #[command(flatten)]
    objective: ObjectiveOptions,
    #[command(flatten)]
    samples: SampleOptions,
    /// Model directory of the reference, where the batch has no ref_log_probs (for dpo and grpo) [default: the model without its adapters]
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    strategy: StrategyOptions,
    #[command(flatten)]
    ranks: RankOptions,
    /// Safetensors file to write: the gradient of each trainable parameter, and loss
    #[arg(long)]
    out: PathBuf,
    /// Seed of a preset's weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Found {
    loss: f32,
    tensors: usize,
    peak_bytes: u64,
    out: String,
    #[serde(flatten)]
    of_pairs: Option<DpoMetrics>,
    #[serde(flatten)]
    of_samples: Option<GrpoMetrics>,
}

/// What the file of a batch has for an objective.
struct Given {
    batch: Batch,
    objective: Objective,
    advantages: Vec<f32>,
    old_log_probs: Vec<f32>,
    ref_log_probs: Option<Vec<f32>>,
}

impl Given {
    fn read(file: &str, bytes: &[u8], objective: Objective, vocab_size: u32) -> Result<Given> {
        let (advantages, old_log_probs) = (Vec::new(), Vec::new());
        Ok(match objective {
            Objective::CrossEntropy => {
                Given { batch: read_batch(file, bytes, vocab_size)?, objective, advantages, old_log_probs, ref_log_probs: None }
            }
            Objective::Dpo(_) => {
                let (batch, ref_log_probs) = read_pairs(file, bytes, vocab_size)?;
                Given { batch, objective, advantages, old_log_probs, ref_log_probs }
            }
            Objective::Grpo(settings) => {
                let SampledBatch { batch, advantages, old_log_probs, ref_log_probs } = read_samples(file, bytes, vocab_size)?;
                if ref_log_probs.is_some() && !settings.has_reference() {
                    return Err(Error::Setting(format!(
                        "{file} has ref_log_probs, which count with --beta only; give that, or leave them out"
                    )));
                }
                let objective = Objective::Grpo(GrpoSettings { has_old_log_probs: old_log_probs.is_some(), ..settings });
                Given { batch, objective, advantages, old_log_probs: old_log_probs.unwrap_or_default(), ref_log_probs }
            }
        })
    }

    /// What the reference says of every label; nothing, if the objective asks none.
    async fn asked(&mut self, arguments: &Arguments, gpu: &Gpu, spec: &ModelSpec, values: &impl WeightSource) -> Result<Vec<f32>> {
        match (self.ref_log_probs.take(), &arguments.reference) {
            (Some(given), _) => Ok(given),
            _ if !self.objective.has_reference() => Ok(Vec::new()),
            (None, Some(directory)) => {
                let reference = open_reference(directory, spec).await?;
                reference_log_probs(gpu, self.objective, &ModelSpec::from(&reference.config), &reference, &self.batch).await
            }
            (None, None) => reference_log_probs(gpu, self.objective, spec, &AdaptersOff(values), &self.batch).await,
        }
    }

    /// The batch for the objective.
    fn with_reference(self, ref_log_probs: Vec<f32>) -> Batch {
        let Given { batch, objective, advantages, old_log_probs, .. } = self;
        match objective {
            Objective::CrossEntropy => batch,
            Objective::Dpo(_) => {
                let pairs = batch.shape.lengths().len() as u32 / 2;
                batch.in_pairs(pairs, ref_log_probs)
            }
            Objective::Grpo(settings) => batch.in_samples(settings.mean(), advantages, old_log_probs, ref_log_probs),
        }
    }
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    let objective = arguments.objective.objective(&arguments.samples)?;
    let inputs = arguments.model.paths().chain([arguments.batch.as_path()]).chain(arguments.reference.as_deref());
    refuse_to_replace("--out", &arguments.out, inputs)?;
    let Opened { spec, values } = arguments.model.open(arguments.seed).await?;
    let bytes = std::fs::read(&arguments.batch).map_err(|e| Error::io(&arguments.batch, e))?;
    let mut given = Given::read(&arguments.batch.display().to_string(), &bytes, objective, spec.config.vocab_size)?;
    let objective = given.objective;
    refuse_reference(arguments.reference.as_deref(), objective)?;
    refuse_second(arguments.reference.as_deref(), given.ref_log_probs.is_some())?;
    let gpu = session.open().await?;
    let shape = session.ranks.split(&spec, given.batch.shape.clone(), 1, &arguments.ranks)?;
    let strategy = session.ranks.same(session.strategy(&arguments.strategy, objective, &spec, &shape, None, &gpu)).await?;
    let plan = Plan::new(Program::gradients_for(objective, &spec, shape, strategy), gpu.limits())?;
    session.check(&gpu).await?;
    let gpu = session.tune(gpu, &spec).await?;
    session.ranks.check_adapters(&gpu, &arguments.ranks).await?;
    let ref_log_probs = given.asked(&arguments, &gpu, &spec, &values).await?;
    let batch = given.with_reference(ref_log_probs);
    let mut executor = Executor::new(Kernels::new(&gpu, plan)?).await?;
    session.ranks.transport().into_iter().for_each(|transport| executor.connect(transport));
    executor.load(&values).await?;
    executor.load_batch(&batch);
    executor.run(Pass::GRADIENTS).await?;
    if !session.ranks.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    let loss = executor.metrics().await?[metrics::LOSS];
    let mut tensors = vec![("loss".to_owned(), vec![1], vec![loss])];
    let gradients = executor.gradients().await?;
    let parameters = executor.program().parameters.trainable().zip(gradients);
    tensors.extend(parameters.map(|((_, parameter), gradient)| (parameter.name.clone(), parameter.shape(), gradient)));
    tensors_to_file(&arguments.out, &tensors)?;
    let of_pairs = objective.metrics(&sequence_log_probs(&executor).await?);
    let of_samples = match objective {
        Objective::Grpo(settings) => Some(GrpoMetrics::of(&settings, &sequence_metrics(&executor).await?)),
        _ => None,
    };
    let (tensors, peak_bytes, out) = (tensors.len(), executor.created_bytes(), arguments.out.display().to_string());
    print(Found { loss, tensors, peak_bytes, out, of_pairs, of_samples }, session.json)
}

fn print(found: Found, json: bool) -> Result<ExitCode> {
    if json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Found { loss, tensors, peak_bytes, out, of_pairs, of_samples } = found;
    let margin = of_pairs.map_or(String::new(), |pairs| format!(", margin {}, accuracy {}", pairs.margin, pairs.accuracy));
    let clipped = of_samples.map_or(String::new(), |samples| format!(", {:.1} % clipped", 100.0 * samples.clipped));
    let peak = human_bytes(peak_bytes);
    output::line(format_args!("loss {loss}{margin}{clipped}, {} gradients written to {out}, peak {peak}", tensors - 1))?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a second reference.
fn refuse_second(directory: Option<&Path>, is_in_batch: bool) -> Result<()> {
    match directory {
        Some(directory) if is_in_batch => Err(Error::Setting(format!(
            "the batch has ref_log_probs, and --reference {} would give others; leave out one of the two",
            directory.display()
        ))),
        _ => Ok(()),
    }
}
