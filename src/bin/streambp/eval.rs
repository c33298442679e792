use std::process::ExitCode;

use clap::Args;
use streambp::error::Result;
use streambp::gpu::Kernels;
use streambp::model::Preset;
use streambp::train::{Evaluation, EvaluationData};

use crate::options::{ModelOptions, Opened, note_length, progress_bar};
use crate::output;
use crate::session::Session;
use crate::text::TextOptions;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// UTF-8 text file, or rows of JSON as for `train`
    #[arg(long)]
    data: String,
    #[command(flatten)]
    text: TextOptions,
    /// Sequence length in tokens: what is longer is split
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    seq_len: u32,
    /// Sequences per batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Seed of a preset's weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    let Arguments { model, data, text, seq_len, batch, seed } = arguments;
    session.signals.listen("batch")?;
    let mut base = model.base(seed).await?;
    let documents = text.documents(&data, &model, &mut base.config, seq_len)?;
    // A sequence that nothing fills would cost its whole length.
    let longest = documents.iter().map(|document| document.ids.len().saturating_sub(1)).max().unwrap_or_default() as u32;
    let seq_len = seq_len.min(longest.max(1));
    note_length(&base, seq_len);
    let data = EvaluationData::new(&documents, seq_len, batch)?;
    let Opened { spec, values } = model.adapt(base, seed).await?;
    let gpu = session.open().await?;
    let plan = data.plan(&spec, gpu.limits())?;
    let gpu = session.tune(gpu, &spec).await?;
    let bar = progress_bar(data.batches() as u64, "evaluating");
    let progress = |done: usize| {
        bar.set_position(done as u64);
        session.signals.check()
    };
    let evaluation = data.evaluate(Kernels::new(&gpu, plan)?, &values, progress).await?;
    bar.finish_and_clear();
    match session.json {
        true => output::json(&evaluation)?,
        false => print(&model, &evaluation)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(model: &ModelOptions, evaluation: &Evaluation) -> Result<()> {
    let Evaluation { loss, perplexity, labels, by_position } = evaluation;
    let untrained = if Preset::named(&model.model).is_some() { ", with random weights" } else { "" };
    let lora = model.lora.lora.as_ref().map_or(String::new(), |lora| format!(" with {}", lora.display()));
    output::line(format_args!("{}{lora}{untrained}: loss {loss:.4}, perplexity {perplexity:.3}, {labels} tokens", model.model))?;
    output::line("behind tokens           loss  perplexity      tokens")?;
    for at in by_position {
        output::line(format_args!("{:>7} to {:<7} {:>9.4} {:>11.3} {:>11}", at.from, at.to, at.loss, at.perplexity, at.labels))?;
    }
    Ok(())
}
