use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use streambp::error::{Error, Result};
use streambp::gpu::{Executor, Kernels};
use streambp::step::{Pass, Plan, Program, update::metrics};
use streambp::train::{read_batch, tensors_to_file};

use crate::options::{ModelOptions, Opened, StrategyOptions, human_bytes};
use crate::out_directory::refuse_to_replace;
use crate::output;
use crate::session::Session;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Safetensors file with input_ids, labels, position_ids (for packed sequences) and attention_mask (for padded ones), int64, [B, T]
    #[arg(long)]
    batch: PathBuf,
    #[command(flatten)]
    strategy: StrategyOptions,
    /// Safetensors file to write: the gradient of each trainable parameter, and loss
    #[arg(long)]
    out: PathBuf,
    /// Seed of a preset's weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    refuse_to_replace("--out", &arguments.out, arguments.model.paths().chain([arguments.batch.as_path()]))?;
    let Opened { spec, values } = arguments.model.open(arguments.seed).await?;
    let bytes = std::fs::read(&arguments.batch).map_err(|e| Error::io(&arguments.batch, e))?;
    let batch = read_batch(&arguments.batch.display().to_string(), &bytes, spec.config.vocab_size)?;
    let gpu = session.open().await?;
    let strategy = session.strategy(&arguments.strategy, &spec, &batch.shape, None, &gpu).await?;
    let program = Program::gradients(&spec, batch.shape.clone(), strategy);
    let plan = Plan::new(program, gpu.limits())?;
    session.check(&gpu).await?;
    let gpu = session.tune(gpu, &spec).await?;
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
    let out = arguments.out.display();
    if session.json {
        output::json(&json!({ "loss": loss, "tensors": tensors.len(), "peak_bytes": executor.created_bytes(), "out": out.to_string() }))?;
    } else {
        output::line(format_args!(
            "loss {loss}, {} gradients written to {out}, peak {}",
            tensors.len() - 1,
            human_bytes(executor.created_bytes())
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
