use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use streambp::error::{Error, Result};
use streambp::gpu::{Executor, Kernels};
use streambp::model::ModelSpec;
use streambp::step::{Objective, Pass, Plan, Program, update::metrics};
use streambp::train::{AdaptersOff, DpoMetrics, read_batch, read_pairs, reference_log_probs, sequence_log_probs, tensors_to_file};

use crate::options::{ModelOptions, ObjectiveOptions, Opened, StrategyOptions, human_bytes, open_reference, refuse_reference};
use crate::out_directory::refuse_to_replace;
use crate::output;
use crate::session::Session;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Safetensors file with input_ids, labels, position_ids (for packed sequences) and attention_mask (for padded ones), int64, [B, T]; for
    /// dpo rows 2p and 2p+1 are the chosen and the rejected answer of pair p, and there may be ref_log_probs, float32, [B, T]
    #[arg(long)]
    batch: PathBuf,
    #[command(flatten)]
    objective: ObjectiveOptions,
    /// Model directory of the reference, where the batch has no ref_log_probs (for dpo) [default: the model without its adapters]
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    strategy: StrategyOptions,
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
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    let objective = arguments.objective.objective()?;
    let inputs = arguments.model.paths().chain([arguments.batch.as_path()]).chain(arguments.reference.as_deref());
    refuse_to_replace("--out", &arguments.out, inputs)?;
    let Opened { spec, values } = arguments.model.open(arguments.seed).await?;
    let bytes = std::fs::read(&arguments.batch).map_err(|e| Error::io(&arguments.batch, e))?;
    let file = arguments.batch.display().to_string();
    let (batch, ref_log_probs) = match objective {
        Objective::CrossEntropy => (read_batch(&file, &bytes, spec.config.vocab_size)?, None),
        Objective::Dpo(_) => read_pairs(&file, &bytes, spec.config.vocab_size)?,
    };
    refuse_reference(arguments.reference.as_deref(), objective)?;
    refuse_second(arguments.reference.as_deref(), ref_log_probs.is_some())?;
    let gpu = session.open().await?;
    let strategy = session.strategy(&arguments.strategy, objective, &spec, &batch.shape, None, &gpu).await?;
    let plan = Plan::new(Program::gradients_for(objective, &spec, batch.shape.clone(), strategy), gpu.limits())?;
    session.check(&gpu).await?;
    let gpu = session.tune(gpu, &spec).await?;
    let batch = match objective {
        Objective::CrossEntropy => batch,
        Objective::Dpo(_) => {
            let ref_log_probs = match (ref_log_probs, &arguments.reference) {
                (Some(given), _) => given,
                (None, Some(directory)) => {
                    let reference = open_reference(directory, &spec).await?;
                    reference_log_probs(&gpu, &ModelSpec::from(&reference.config), &reference, &batch).await?
                }
                (None, None) => reference_log_probs(&gpu, &spec, &AdaptersOff(&values), &batch).await?,
            };
            let pairs = batch.shape.lengths().len() as u32 / 2;
            batch.in_pairs(pairs, ref_log_probs)
        }
    };
    let mut executor = Executor::new(Kernels::new(&gpu, plan)?).await?;
    executor.load(&values).await?;
    executor.load_batch(&batch);
    executor.run(Pass::GRADIENTS).await?;
    let loss = executor.metrics().await?[metrics::LOSS];
    let mut tensors = vec![("loss".to_owned(), vec![1], vec![loss])];
    let gradients = executor.gradients().await?;
    let parameters = executor.program().parameters.trainable().zip(gradients);
    tensors.extend(parameters.map(|((_, parameter), gradient)| (parameter.name.clone(), parameter.shape(), gradient)));
    tensors_to_file(&arguments.out, &tensors)?;
    let of_pairs = objective.metrics(&sequence_log_probs(&executor).await?);
    let out = arguments.out.display();
    if session.json {
        let (tensors, peak_bytes, out) = (tensors.len(), executor.created_bytes(), out.to_string());
        output::json(&Found { loss, tensors, peak_bytes, out, of_pairs })?;
    } else {
        let margin = of_pairs.map_or(String::new(), |pairs| format!(", margin {}, accuracy {}", pairs.margin, pairs.accuracy));
        output::line(format_args!(
            "loss {loss}{margin}, {} gradients written to {out}, peak {}",
            tensors.len() - 1,
            human_bytes(executor.created_bytes())
        ))?;
    }
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
