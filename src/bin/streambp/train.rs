use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use streambp::error::{Error, Result};
use streambp::gpu::Kernels;
use streambp::model::{Config, ModelSpec, save_adapter};
use streambp::step::{BatchShape, Limits, Strategy};
use streambp::text::Tokenizer;
use streambp::train::{
    CopyTask, Dataset, RecallTask, Settings, SortTask, StepReport, SumTask, Task, Trainer, Validation, fastest_strategy, load_snapshot,
    plan_within, save_snapshot,
};

use crate::options::{ModelOptions, Opened, StrategyOptions, human_bytes, parse_bytes, print_json, strategy_words};
use crate::text::DataOptions;
use crate::tuning::Device;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// UTF-8 text file; or JSON lines (`.jsonl`) with `messages` or `text`; or `own` (this project's shaders); or a generated task:
    /// `recall`, `recall-cut`, `copy`, `sort` or `sum`
    #[arg(long)]
    data: String,
    #[command(flatten)]
    text: DataOptions,
    /// Distance of the answers of `copy`, `sort` and `sum`, in tokens
    #[arg(long, default_value_t = 64)]
    distance: u32,
    /// Sequence length in tokens
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    seq_len: u32,
    /// Number of steps
    #[arg(long)]
    steps: u64,
    /// Sequences per batch
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// Batches per step (gradient accumulation)
    #[arg(long, default_value_t = 1)]
    accumulate: u32,
    #[command(flatten)]
    strategy: StrategyOptions,
    /// Peak learning rate
    #[arg(long, default_value_t = Settings::default().learning_rate)]
    lr: f64,
    /// Final learning rate [default: a tenth of --lr]
    #[arg(long)]
    min_lr: Option<f64>,
    /// Steps of linear warmup
    #[arg(long, default_value_t = Settings::default().warmup)]
    warmup: u64,
    /// Decoupled weight decay (of matrices)
    #[arg(long, default_value_t = Settings::default().weight_decay)]
    weight_decay: f64,
    /// Maximum gradient norm
    #[arg(long, default_value_t = Settings::default().max_grad_norm)]
    clip: f64,
    /// Seed of the initial weights and of the order of the data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps between validations
    #[arg(long, default_value_t = 50)]
    val_every: u64,
    /// Directory for checkpoint.safetensors, and for the model at the end
    #[arg(long)]
    out: Option<PathBuf>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 50)]
    checkpoint_every: u64,
    /// Resume from the checkpoint in --out
    #[arg(long, requires = "out")]
    resume: bool,
    /// Memory budget of the step, as 2GiB: without strategy options, the fastest strategy that fits is used
    #[arg(long, value_parser = parse_bytes)]
    budget: Option<u64>,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            seq_len: self.seq_len,
            batch: self.batch,
            accumulate: self.accumulate,
            learning_rate: self.lr,
            min_learning_rate: self.min_lr.unwrap_or(self.lr / 10.0),
            warmup: self.warmup,
            steps: self.steps,
            weight_decay: self.weight_decay,
            max_grad_norm: self.clip,
            seed: self.seed,
            ..Settings::default()
        }
    }

    /// The dataset, and its tokenizer if it is a file. A preset's vocabulary size is set to the tokenizer's.
    fn dataset(&self, config: &mut Config) -> Result<(Dataset, Option<Tokenizer>)> {
        let distance = self.distance;
        let made_up = match self.data.as_str() {
            "own" => Dataset::own(self.seq_len),
            "recall" => Dataset::task(Task::Recall(RecallTask::default()), self.seq_len),
            "recall-cut" => Dataset::task(Task::Recall(RecallTask { cut: true, ..RecallTask::default() }), self.seq_len),
            "copy" => Dataset::task(Task::Copy(CopyTask { distance }), self.seq_len),
            "sort" => Dataset::task(Task::Sort(SortTask { distance }), self.seq_len),
            "sum" => Dataset::task(Task::Sum(SumTask { distance }), self.seq_len),
            path => {
                let (dataset, tokenizer) = self.text.dataset(path, &self.model.model, config, self.seq_len)?;
                return Ok((dataset, Some(tokenizer)));
            }
        };
        self.text.refuse(&self.data)?;
        Ok((made_up?, None))
    }

    /// The strategy of the options. If none is given and there is a budget, the fastest that fits.
    fn choose_strategy(&self, spec: &ModelSpec, shape: &BatchShape, limits: Limits) -> Strategy {
        let budget = self.budget.filter(|_| self.strategy.is_open());
        let fastest = budget.and_then(|budget| fastest_strategy(spec, shape, budget, limits));
        fastest.unwrap_or_else(|| self.strategy.resolve())
    }

    fn checkpoint(&self) -> Option<PathBuf> {
        self.out.as_ref().map(|out| out.join("checkpoint.safetensors"))
    }
}

pub async fn run(arguments: Arguments, device: Device<'_>, json: bool) -> Result<ExitCode> {
    let settings = arguments.settings();
    settings.validate()?;
    let mut base = arguments.model.base(arguments.seed).await?;
    let (dataset, tokenizer) = arguments.dataset(&mut base.config)?;
    let Opened { spec, values } = arguments.model.adapt(base, arguments.seed).await?;
    let gpu = device.open().await?;
    let shape = settings.batch_shape(&dataset);
    let strategy = arguments.choose_strategy(&spec, &shape, gpu.limits());
    let plan = plan_within(&spec, &shape, strategy, arguments.budget.unwrap_or(u64::MAX), gpu.limits())?;
    let gpu = device.tune(gpu, &spec).await?;
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    }
    let settings = Settings { strategy, ..settings };
    let mut trainer = Trainer::new(Kernels::new(&gpu, plan)?, settings, dataset, &values).await?;
    if let Some(path) = arguments.checkpoint().filter(|_| arguments.resume) {
        let snapshot = load_snapshot(&path)?;
        snapshot.check_run(&path.display().to_string(), &trainer.run_id())?;
        trainer.restore(&snapshot).await?;
    }
    if !json {
        let memory = human_bytes(trainer.executor().created_bytes());
        let parameters = &trainer.executor().program().parameters;
        let (all, trained) = (parameters.elements(), parameters.trainable().map(|(_, p)| p.elements() as u64).sum::<u64>());
        let learning = if trained < all { format!(", {trained} of which are trainable") } else { String::new() };
        let strategy = strategy_words(trainer.settings().strategy, trainer.executor().program().tokens());
        println!("{} on {}, {all} parameters{learning}, {memory}, {strategy}", arguments.model.model, gpu.name());
    }
    train(&arguments, &mut trainer, json).await?;
    if let Some(out) = &arguments.out {
        let weights = trainer.weights().await?;
        match spec.adapters() {
            Some(_) => save_adapter(out, &spec, &arguments.model.model, &weights)?,
            None => values.base.save(out, &weights)?,
        }
        if let Some(tokenizer) = tokenizer {
            tokenizer.files().write(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn train(arguments: &Arguments, trainer: &mut Trainer, json: bool) -> Result<()> {
    let bar = progress_bar(arguments.steps, trainer.steps_done());
    while trainer.steps_done() < arguments.steps {
        let report = match trainer.step().await {
            Ok(report) => report,
            Err(error @ Error::NonFinite { .. }) => {
                // The device skipped the update, so it holds the last good state.
                save(arguments.checkpoint().as_deref(), trainer).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let is_last = report.step == arguments.steps;
        let validation = match report.step.is_multiple_of(arguments.val_every.max(1)) || is_last {
            true => Some(trainer.validate().await?),
            false => None,
        };
        if report.step.is_multiple_of(arguments.checkpoint_every.max(1)) || is_last {
            save(arguments.checkpoint().as_deref(), trainer).await?;
        }
        bar.set_message(format!("loss {:.4}, {:.0} tokens/s", report.loss, report.tokens_per_second));
        bar.inc(1);
        print_step(&report, validation, json, &bar);
    }
    bar.finish_and_clear();
    Ok(())
}

async fn save(path: Option<&Path>, trainer: &Trainer) -> Result<()> {
    match path {
        Some(path) => save_snapshot(path, &trainer.snapshot().await?),
        None => Ok(()),
    }
}

fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec}, {eta} left  {msg}").expect("the template is valid");
    ProgressBar::new(steps).with_style(style).with_position(done)
}

fn print_step(report: &StepReport, validation: Option<Validation>, json: bool, bar: &ProgressBar) {
    if json {
        let mut line = json!(report);
        if let Some(validation) = validation {
            line["validation_loss"] = json!(validation.loss);
            line["validation_accuracy"] = json!(validation.accuracy);
        }
        bar.suspend(|| print_json(&line));
        return;
    }
    if let Some(validation) = validation {
        let accuracy = validation.accuracy.map_or(String::new(), |a| format!("  answers {:.1} %", 100.0 * a));
        let line = format!(
            "step {:6}  loss {:.4}  validation {:.4}{accuracy}  |g| {:.3}  lr {:.1e}  {:.0} tokens/s",
            report.step, report.loss, validation.loss, report.grad_norm, report.learning_rate, report.tokens_per_second
        );
        bar.suspend(|| println!("{line}"));
    }
}
