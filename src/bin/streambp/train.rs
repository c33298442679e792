#[cfg(test)]
mod of_page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command};
use streambp::error::{Error, Result};
use streambp::gpu::{Gpu, Kernels};
use streambp::model::{Config, DirectoryWriter, Model, ModelSpec, Parameters, Weights, WithAdapters, adapter_files};
use streambp::step::{BatchShape, GrpoSettings, Objective, Strategy};
use streambp::text::Tokenizer;
use streambp::train::run_file::{CHECKPOINT, OWN, RunFile, TASK_DISTANCE, VALIDATION_INTERVAL, is_given_text};
use streambp::train::{
    AdaptersOff, Dataset, PreferencesTask, ReferenceModel, RollOutSettings, Settings, Task, Trainer, fastest_strategy, plan_within,
    resume_run,
};

use crate::options::{
    Adapters, ModelOptions, ObjectiveOptions, Opened, SampleOptions, StrategyOptions, human_bytes, note_length, open_reference,
    parse_bytes, progress_bar, refuse_reference, room_for_prompts, strategy_words,
};
use crate::out_directory::{Existing, OutDirectory, refuse_to_replace};
use crate::output;
use crate::ranks::{RankOptions, Ranks, different};
use crate::record;
use crate::rewards::RewardOptions;
use crate::roll_outs::RollOutOptions;
use crate::session::Session;
use crate::signals::Signal;
use crate::text::{DataOptions, written};
use crate::training::{Files, Intervals, Training};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// UTF-8 text file; or JSON lines or a JSON array of rows with `messages`, `text`, `prompt` and `completion`, or `conversations`, for
    /// dpo with `chosen` and `rejected`, with or without `prompt`; or `own` (this project's shaders); or a generated task: `recall`,
    /// `recall-cut`, `copy`, `sort`, `sum`, `stories` or `stories-ko` (stories in English or Korean, with questions), for dpo `preferences`
    /// or `preferences-ko` (stories with a right and a wrong answer)
    #[arg(long)]
    data: String,
    #[command(flatten)]
    text: DataOptions,
    /// Distance of the answers of `copy`, `sort` and `sum`, in tokens
    #[arg(long, default_value_t = TASK_DISTANCE)]
    distance: u32,
    /// Sequence length in tokens
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    seq_len: u32,
    /// Number of steps
    #[arg(long)]
    steps: u64,
    /// Sequences per batch; for dpo pairs of them [default: 1; for grpo the completions of a prompt]
    #[arg(long)]
    batch: Option<u32>,
    /// Batches per step (gradient accumulation)
    #[arg(long, default_value_t = 1)]
    accumulate: u32,
    #[command(flatten)]
    objective: ObjectiveOptions,
    #[command(flatten)]
    samples: SampleOptions,
    #[command(flatten)]
    roll_outs: RollOutOptions,
    /// Model directory of the reference (for dpo) [default: the model before training, without its adapters]
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    rewards: RewardOptions,
    #[command(flatten)]
    strategy: StrategyOptions,
    #[command(flatten)]
    ranks: RankOptions,
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
    /// AdamW's decay of the first moment
    #[arg(long, default_value_t = Settings::default().beta1)]
    beta1: f64,
    /// AdamW's decay of the second moment
    #[arg(long, default_value_t = Settings::default().beta2)]
    beta2: f64,
    /// AdamW's epsilon
    #[arg(long, default_value_t = Settings::default().adam_epsilon)]
    adam_epsilon: f64,
    /// Seed of the initial weights and of the order of the data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps between validations; the last step is always followed by one, with 0 no other
    #[arg(long, default_value_t = VALIDATION_INTERVAL)]
    val_every: u64,
    /// Directory for checkpoint.safetensors, and for the model at the end
    #[arg(long)]
    out: Option<PathBuf>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 50)]
    checkpoint_every: u64,
    /// Resume the run in DIR, with its own options where no others are given; or, without DIR, from the checkpoint in --out
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// Replace the run or the model in --out
    #[arg(long, requires = "out", conflicts_with = "resume")]
    overwrite: bool,
    /// Memory budget of the step, as 2GiB: without strategy options, the fastest strategy that fits is used
    #[arg(long, value_parser = parse_bytes)]
    budget: Option<u64>,
    /// How the run was started, for its directory.
    #[arg(skip)]
    started: RunFile,
}

impl Arguments {
    /// What the run minimises, and how its completions are sampled and rewarded, if it learns from these.
    fn objective(&self) -> Result<(Objective, Option<RollOutSettings>)> {
        let objective = self.roll_outs.group.sampling(self.objective.objective(&self.samples)?)?;
        self.rewards.check(objective, &self.data)?;
        let Objective::Grpo(grpo) = objective else {
            self.roll_outs.refuse()?;
            return Ok((objective, None));
        };
        let roll_outs = self.roll_outs.settings(self.rewards.settings(&self.data)?)?;
        let has_old_log_probs = roll_outs.num_iterations > 1;
        Ok((Objective::Grpo(GrpoSettings { has_old_log_probs, ..grpo }), Some(roll_outs)))
    }

    fn settings(&self) -> Result<Settings> {
        let (objective, roll_outs) = self.objective()?;
        let of_objective = if let Objective::Grpo(grpo) = objective { grpo.num_generations } else { 1 };
        Ok(Settings {
            seq_len: self.seq_len,
            batch: self.batch.unwrap_or(of_objective),
            accumulate: self.accumulate,
            learning_rate: self.lr,
            min_learning_rate: self.min_lr.unwrap_or(self.lr / 10.0),
            warmup: self.warmup,
            steps: self.steps,
            weight_decay: self.weight_decay,
            max_grad_norm: self.clip,
            beta1: self.beta1,
            beta2: self.beta2,
            adam_epsilon: self.adam_epsilon,
            seed: self.seed,
            strategy: Strategy::default(),
            objective,
            roll_outs,
        })
    }

    /// Notes how the run was started. `written` is when its text was, if a run's file says so.
    pub fn record(&mut self, train: &Command, matches: &ArgMatches, written_before: Option<u64>) {
        self.text.written = written_before;
        let written = written_before.or_else(|| written(&self.data).ok()).filter(|_| is_given_text(&self.data));
        self.started = RunFile { arguments: record::arguments(train, matches, self.out_path().ok().flatten()), written };
    }

    /// The directory of the run: that of `--out`, or else that of `--resume`.
    ///
    /// # Errors
    /// [`Error::Setting`] if both are given and differ, or if neither is and a run is to be resumed.
    fn out_path(&self) -> Result<Option<&Path>> {
        let resumed = self.resume.as_ref().map(Option::as_deref);
        match (resumed, self.out.as_deref()) {
            (Some(Some(resumed)), Some(out)) if resumed != out => {
                Err(Error::Setting(format!("a run in {} goes on there, and not in {}; leave out --out", resumed.display(), out.display())))
            }
            (Some(None), None) => Err(Error::Setting("--resume needs the directory of a run: give --resume DIR".to_owned())),
            (resumed, out) => Ok(out.or(resumed.flatten())),
        }
    }

    /// The dataset, and its tokenizer if it is a file. A preset's vocabulary size is set to the tokenizer's.
    fn dataset(&self, config: &mut Config, objective: Objective) -> Result<(Dataset, Option<Arc<Tokenizer>>)> {
        if let Objective::Grpo(settings) = objective {
            return self.prompts(config, settings.max_completion_length);
        }
        if let Some(task) = PreferencesTask::named(&self.data) {
            self.text.refuse(&self.data)?;
            return Ok((Dataset::preferences(task, self.seq_len)?, None));
        }
        if let Objective::Dpo(_) = objective {
            if !is_given_text(&self.data) {
                return Err(Error::Setting(format!(
                    "{} has no pairs of answers, which --objective dpo compares; give --data preferences, or rows with \"chosen\" and \"rejected\"",
                    self.data
                )));
            }
            let (dataset, tokenizer) = self.text.pairs(&self.data, &self.model, config, self.seq_len)?;
            return Ok((dataset, Some(Arc::new(tokenizer))));
        }
        let made_up = match self.data.as_str() {
            OWN if self.text.keeps_tokenizer() => Dataset::own(self.seq_len),
            name => match Task::named(name, self.distance) {
                Some(task) => Dataset::task(task, self.seq_len),
                None => {
                    let (dataset, tokenizer) = self.text.dataset(name, &self.model, config, self.seq_len)?;
                    return Ok((dataset, Some(Arc::new(tokenizer))));
                }
            },
        };
        self.text.refuse(&self.data)?;
        Ok((made_up?, None))
    }

    /// The prompts before completions of that many tokens, and their tokenizer if they are rows.
    fn prompts(&self, config: &mut Config, completion: u32) -> Result<(Dataset, Option<Arc<Tokenizer>>)> {
        let longest = room_for_prompts(self.seq_len, completion)?;
        if let Some(task) = Task::named(&self.data, self.distance) {
            self.text.refuse(&self.data)?;
            return Ok((Dataset::task_prompts(task, longest)?, None));
        }
        if !is_given_text(&self.data) {
            return Err(Error::Setting(format!(
                "{} has no prompts, of which --objective grpo samples completions; give a generated task, or rows with \"prompt\"",
                self.data
            )));
        }
        let (dataset, tokenizer) = self.text.prompts(&self.data, &self.model, config, longest)?;
        Ok((dataset, Some(tokenizer)))
    }

    /// The strategy of the options. If none is given and there is a budget, the fastest that fits.
    async fn choose_strategy(
        &self,
        objective: Objective,
        spec: &ModelSpec,
        shape: &BatchShape,
        gpu: &Gpu,
        session: Session<'_>,
    ) -> Result<Strategy> {
        if let Some(budget) = self.budget.filter(|_| self.strategy.is_open()) {
            let speed = session.ceilings(gpu).await?.into();
            if let Some(fastest) = fastest_strategy(objective, spec, shape, budget, gpu.limits(), &speed) {
                return Ok(fastest);
            }
        }
        session.strategy(&self.strategy, objective, spec, shape, self.budget, gpu).await
    }

    /// The directory of `--out`, if there is one; of several ranks the first writes to it. Whatever is wrong with it is said before anything
    /// else takes time.
    fn open_out(&self, ranks: &Ranks) -> Result<Option<OutDirectory>> {
        let Some(out) = self.out_path()?.filter(|_| ranks.is_first()) else { return Ok(None) };
        refuse_to_replace("--out", out, self.model.paths())?;
        let existing = match (self.resume.is_some(), self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        };
        OutDirectory::open(out, existing).map(Some)
    }

    /// Checks that there is room in `--out` for what the run writes.
    fn check_room(&self, out: &OutDirectory, spec: &ModelSpec) -> Result<()> {
        let bytes = 4 * Parameters::new(spec).trainable().map(|(_, parameter)| parameter.elements() as u64).sum::<u64>();
        let saves = self.steps.div_ceil(self.checkpoint_every.max(1));
        // The values and both moments; at the end the values again, as a model or adapters.
        out.check_room(3 * bytes, saves, bytes)
    }

    /// Writes the trained model or its adapters, with the tokenizer and the ids of its special tokens.
    fn write_result(
        &self,
        out: &Path,
        spec: &ModelSpec,
        values: &WithAdapters<Model, Adapters>,
        tokenizer: Option<&Tokenizer>,
        weights: &Weights,
    ) -> Result<()> {
        let mut files = DirectoryWriter::new(out)?;
        match spec.adapters() {
            Some(_) => files.add_all(adapter_files(spec, &self.model.model, &values.adapters.names(&values.base), weights))?,
            None => {
                let ids = tokenizer.map(|tokenizer| tokenizer.special_token_ids().clone()).unwrap_or_default();
                values.base.write(&mut files, weights, &ids, self.text.keeps_tokenizer())?;
            }
        }
        if let Some(tokenizer) = tokenizer {
            files.add_all(tokenizer.files().named())?;
        }
        files.commit()
    }
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    let settings = arguments.settings()?;
    settings.validate()?;
    refuse_reference(arguments.reference.as_deref(), settings.objective)?;
    session.signals.listen("step")?;
    let ranks = session.ranks;
    refuse_ranks(ranks, settings.objective)?;
    let out = arguments.open_out(ranks)?;
    let mut base = arguments.model.base(arguments.seed).await?;
    note_length(&base, arguments.seq_len);
    let (mut dataset, tokenizer) = arguments.dataset(&mut base.config, settings.objective)?;
    let Opened { spec, values } = arguments.model.adapt(base, arguments.seed).await?;
    match &out {
        Some(out) => arguments.check_room(out, &spec)?,
        None if arguments.out_path()?.is_none() => output::say("note: without --out nothing of this run is saved"),
        None => {}
    }
    if values.adapters.dropout() > 0.0 {
        output::say(format_args!(
            "note: the adapters were trained with lora_dropout {}; here they train without",
            values.adapters.dropout()
        ));
    }
    let gpu = session.open().await?;
    let whole = settings.batch_shape(&dataset);
    let shape = ranks.split(&spec, whole.clone(), settings.accumulate, &arguments.ranks)?;
    let strategy = ranks.same(arguments.choose_strategy(settings.objective, &spec, &shape, &gpu, session)).await?;
    let plan = plan_within(settings.objective, &spec, &shape, strategy, arguments.budget.unwrap_or(u64::MAX), gpu.limits())?;
    session.check(&gpu).await?;
    let gpu = session.tune(gpu, &spec).await?;
    ranks.check_adapters(&gpu, &arguments.ranks).await?;
    let settings = Settings { strategy, ..settings };
    if let Objective::Dpo(_) = settings.objective {
        precompute_ref_log_probs(&mut dataset, &arguments, (&spec, &values), &settings, &whole, &gpu, session).await?;
    }
    let reference = match settings.objective {
        Objective::Grpo(grpo) if grpo.has_reference() => Some(reference(&arguments, (&spec, &values), &settings, &whole, &gpu).await?),
        _ => None,
    };
    let mut trainer = Trainer::new(Kernels::new(&gpu, plan)?, settings, dataset, &values).await?;
    reference.into_iter().for_each(|reference| trainer.set_reference(reference));
    ranks.transport().into_iter().for_each(|transport| trainer.connect(transport));
    ranks.check_same(&different("run"), &(env!("CARGO_PKG_VERSION"), trainer.run_id()))?;
    let saved = match arguments.out_path()? {
        Some(out) if arguments.resume.is_some() => Some(resume(&mut trainer, out).await?),
        _ => None,
    };
    if !session.json {
        print_run(&arguments.model.model, &gpu, &trainer)?;
    }
    let intervals = Intervals { validation: arguments.val_every, checkpoint: arguments.checkpoint_every };
    let files = out.as_ref().map(|out| Files::new(out, arguments.started.clone(), saved));
    let is_saved = arguments.out_path()?.is_some();
    let mut training = Training { trainer, files, is_saved, intervals, session, saved };
    let signal = training.run().await?;
    let outcome = training.save().await;
    if let Some(signal) = signal {
        outcome?;
        output::say(stopped(signal, &training));
        return Ok(signal.status());
    }
    if let Some(out) = &out {
        let weights = training.trainer.weights().await?;
        let written = arguments.write_result(out.path(), &spec, &values, tokenizer.as_deref(), &weights);
        written.map_err(|error| not_written(&error, outcome.is_ok()))?;
    }
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses an objective that runs on one rank only.
fn refuse_ranks(ranks: &Ranks, objective: Objective) -> Result<()> {
    match objective {
        Objective::Grpo(_) if ranks.count() > 1 => {
            Err(Error::Setting(format!("--objective grpo samples on one rank, and {} were started; run it without mpirun", ranks.count())))
        }
        _ => Ok(()),
    }
}

/// The reference: another model, or the model as it is before training, without its adapters.
async fn reference(
    arguments: &Arguments,
    (spec, values): (&ModelSpec, &WithAdapters<Model, Adapters>),
    settings: &Settings,
    shape: &BatchShape,
    gpu: &Gpu,
) -> Result<ReferenceModel> {
    let objective = settings.objective;
    match &arguments.reference {
        None => ReferenceModel::new(gpu, objective, spec, &AdaptersOff(values), shape).await,
        Some(directory) => {
            let other = open_reference(directory, spec).await?;
            ReferenceModel::new(gpu, objective, &ModelSpec::from(&other.config), &other, shape).await
        }
    }
}

/// Asks the reference of all pairs, before the training needs the memory.
async fn precompute_ref_log_probs(
    dataset: &mut Dataset,
    arguments: &Arguments,
    model: (&ModelSpec, &WithAdapters<Model, Adapters>),
    settings: &Settings,
    shape: &BatchShape,
    gpu: &Gpu,
    session: Session<'_>,
) -> Result<()> {
    let mut reference = reference(arguments, model, settings, shape, gpu).await?;
    let bar = progress_bar(0, "reference log-probabilities");
    let progress = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        session.signals.check()
    };
    let outcome = dataset.precompute_ref_log_probs(&mut reference, settings.batch, progress).await;
    bar.finish_and_clear();
    outcome
}

/// Resumes from the checkpoint. Returns its step.
async fn resume(trainer: &mut Trainer, out: &Path) -> Result<u64> {
    let notes = resume_run(&out.join(CHECKPOINT), trainer).await?;
    let step = trainer.steps_done();
    notes.iter().for_each(|note| output::say(format_args!("note: from step {} on, {note}", step + 1)));
    Ok(step)
}

fn print_run(model: &str, gpu: &Gpu, trainer: &Trainer) -> Result<()> {
    let memory = human_bytes(trainer.executor().created_bytes());
    let parameters = &trainer.executor().program().parameters;
    let (all, trained) = (parameters.elements(), parameters.trainable().map(|(_, p)| p.elements() as u64).sum::<u64>());
    let trainable = if trained < all { format!(", {trained} of which are trainable") } else { String::new() };
    let program = trainer.executor().program();
    let strategy = strategy_words(trainer.settings().strategy, program.tokens(), program.config().num_hidden_layers);
    output::line(format_args!("{model} on {}, {all} parameters{trainable}, {memory}, {strategy}", gpu.name()))
}

/// Where a run stopped, and how it goes on.
fn stopped(signal: Signal, training: &Training<'_>) -> String {
    let (name, step) = (signal.name(), training.trainer.steps_done());
    match (&training.files, training.saved) {
        (Some(files), Some(saved)) => {
            format!("{name}: stopped after step {saved}, saved in {}; --resume continues from there", files.out.checkpoint().display())
        }
        (Some(_), None) => format!("{name}: stopped before the first step"),
        (None, _) => format!("{name}: stopped after step {step}, with nothing saved, since there is no --out"),
    }
}

fn not_written(error: &Error, is_saved: bool) -> Error {
    let way_out = if is_saved { "; the run is saved: make room, and write it with --resume" } else { "" };
    Error::Setting(format!("the model could not be written ({error}){way_out}"))
}
