//! Options that several commands share, and parsing and formatting of byte sizes.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use streambp::error::{Error, Result};
use streambp::gpu::DeviceSpeed;
use streambp::model::{
    ActivationDtype, Config, Directory, Dtype, Layers, Lora, Model, ModelSpec, Parameter, Preset, Projection, RandomInit, StoredAdapter,
    TensorNames, WeightSource, WithAdapters, model_files, open_adapter, open_model,
};
use streambp::step::{
    BatchShape, DpoLossType, DpoSettings, GrpoLossType, GrpoSettings, ImportanceSamplingLevel, Limits, Objective, SavedActivations,
    Strategy, StrategyKind, TOKEN_TILE,
};
use streambp::train::{AutoChunk, ChunkBound, ChunkLength, auto_chunk, auto_chunk_needs_speed};

use crate::output;

/// Options of the strategy.
#[derive(Args, Clone, Copy)]
pub struct StrategyOptions {
    /// Strategy: standard, checkpoint or stream [default: stream]
    #[arg(long)]
    pub strategy: Option<StrategyKind>,
    /// Chunk length in the layers, in tokens, rounded up to a multiple of 64; or auto: as long as the adapter needs to be busy, as far as
    /// --budget allows it, from 128 to 2048 (for stream) [default: auto]
    #[arg(long)]
    pub chunk: Option<ChunkLength>,
    /// Chunk length in the loss head, in tokens, rounded up to a multiple of 64; or auto: that of the layers (for stream) [default: auto]
    #[arg(long)]
    pub logits_chunk: Option<ChunkLength>,
    /// Maximum bytes of a chunk's logits, as 64MiB; more are computed in ranges of the vocabulary (for stream) [default: 128MiB]
    #[arg(long, value_parser = parse_bytes)]
    pub logits_bytes: Option<u64>,
    /// Activations to save in addition to layer inputs (for checkpoint and stream), as attention,keys_values:4: any of attention,
    /// keys_values, queries, post_attention, gate_up, mlp, output, norms, or all; :4 after a name means the last four layers
    #[arg(long)]
    pub save_activations: Option<SavedActivations>,
    /// Offload layer inputs to host memory
    #[arg(long)]
    pub offload: bool,
    /// Use fixed chunks; by default chunks are longer wherever the step needs less memory than at its peak (for stream)
    #[arg(long)]
    pub fixed_chunks: bool,
    /// Layers of a group, of which only the lowest keeps its input; the backward pass computes the others again, and a group's keys and
    /// values stay until it is done (for stream) [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub layer_group: Option<u32>,
}

/// Options of the objective, with TRL's names and defaults.
#[derive(Args, Clone)]
pub struct ObjectiveOptions {
    /// What to minimise: sft (the mean cross-entropy over labels), dpo (preferences between two answers) or grpo (rewards of sampled
    /// completions)
    #[arg(long, default_value = "sft", value_parser = ["sft", "dpo", "grpo"])]
    pub objective: String,
    /// How far the model may move from its reference (for dpo), or the weight of its divergence from that (for grpo) [default: 0.1 or 0]
    #[arg(long)]
    pub beta: Option<f64>,
    /// Loss of a pair: sigmoid, hinge or ipo (for dpo); or what the loss is a mean over: dapo, grpo, bnpo or dr_grpo (for grpo) [default:
    /// sigmoid or dapo]
    #[arg(long)]
    pub loss_type: Option<String>,
    /// Share of pairs whose answers are taken for swapped (for dpo with sigmoid) [default: 0]
    #[arg(long)]
    pub label_smoothing: Option<f64>,
}

/// Options of an objective of sampled completions, with TRL's names and defaults.
#[derive(Args, Clone, Default)]
pub struct SampleOptions {
    /// How far below 1 the ratio of probabilities counts (for grpo) [default: 0.2]
    #[arg(long)]
    pub epsilon: Option<f64>,
    /// How far above 1 it counts (for grpo) [default: that of --epsilon]
    #[arg(long)]
    pub epsilon_high: Option<f64>,
    /// What has a ratio: token or sequence (for grpo) [default: token]
    #[arg(long)]
    pub importance_sampling_level: Option<String>,
    /// What logits are divided by, also where completions are sampled (for grpo) [default: 1]
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Longest completion in tokens, which the loss type dr_grpo also divides by (for grpo) [default: 256]
    #[arg(long)]
    pub max_completion_length: Option<u32>,
    /// Multiply the divergence from the reference by the ratio, so that its gradient is unbiased (for grpo with --beta)
    #[arg(long)]
    pub use_bias_correction_kl: bool,
}

impl SampleOptions {
    /// Those that are given.
    fn given(&self) -> [(&'static str, bool); 6] {
        [
            ("--epsilon", self.epsilon.is_some()),
            ("--epsilon-high", self.epsilon_high.is_some()),
            ("--importance-sampling-level", self.importance_sampling_level.is_some()),
            ("--temperature", self.temperature.is_some()),
            ("--max-completion-length", self.max_completion_length.is_some()),
            ("--use-bias-correction-kl", self.use_bias_correction_kl),
        ]
    }
}

impl ObjectiveOptions {
    /// The objective.
    ///
    /// # Errors
    /// If a setting is out of range, or belongs to another objective.
    pub fn objective(&self, samples: &SampleOptions) -> Result<Objective> {
        let objective = match &*self.objective {
            "dpo" => {
                refuse_given("grpo", &samples.given())?;
                Objective::Dpo(self.dpo()?)
            }
            "grpo" => {
                refuse_given("dpo", &[("--label-smoothing", self.label_smoothing.is_some())])?;
                Objective::Grpo(self.grpo(samples)?)
            }
            _ => {
                let of_dpo = [("--label-smoothing", self.label_smoothing.is_some())];
                refuse_given("dpo", &of_dpo)?;
                refuse_given("dpo or grpo", &[("--beta", self.beta.is_some()), ("--loss-type", self.loss_type.is_some())])?;
                refuse_given("grpo", &samples.given())?;
                Objective::CrossEntropy
            }
        };
        objective.validate()?;
        Ok(objective)
    }

    fn dpo(&self) -> Result<DpoSettings> {
        let default = DpoSettings::default();
        Ok(DpoSettings {
            beta: self.beta.unwrap_or(default.beta),
            loss_type: named("--loss-type", self.loss_type.as_deref(), default.loss_type, DpoLossType::ALL, DpoLossType::name)?,
            label_smoothing: self.label_smoothing.unwrap_or(default.label_smoothing),
        })
    }

    fn grpo(&self, samples: &SampleOptions) -> Result<GrpoSettings> {
        let default = GrpoSettings::default();
        let SampleOptions { epsilon, epsilon_high, importance_sampling_level, temperature, max_completion_length, use_bias_correction_kl } =
            samples;
        let epsilon = epsilon.unwrap_or(default.epsilon);
        let (level, levels) = (importance_sampling_level.as_deref(), ImportanceSamplingLevel::ALL);
        Ok(GrpoSettings {
            beta: self.beta.unwrap_or(default.beta),
            epsilon,
            epsilon_high: epsilon_high.unwrap_or(epsilon),
            loss_type: named("--loss-type", self.loss_type.as_deref(), default.loss_type, GrpoLossType::ALL, GrpoLossType::name)?,
            importance_sampling_level: named(
                "--importance-sampling-level",
                level,
                default.importance_sampling_level,
                levels,
                ImportanceSamplingLevel::name,
            )?,
            temperature: temperature.unwrap_or(default.temperature),
            max_completion_length: max_completion_length.unwrap_or(default.max_completion_length),
            use_bias_correction_kl: *use_bias_correction_kl,
            has_old_log_probs: false,
            num_generations: 0,
        })
    }
}

/// Tokens that sequences of so many leave for prompts before completions of that length.
///
/// # Errors
/// If they leave none.
pub fn room_for_prompts(seq_len: u32, completion: u32) -> Result<u32> {
    seq_len.checked_sub(completion).filter(|&longest| longest > 0).ok_or_else(|| {
        Error::Setting(format!(
            "--seq-len {seq_len} has no room for a prompt before a completion of {completion} tokens; give a longer one, or a shorter --max-completion-length"
        ))
    })
}

/// Refuses options of another objective, each of which may be given.
///
/// # Errors
/// [`Error::Setting`] with the first that is.
pub fn refuse_given(objective: &str, options: &[(&str, bool)]) -> Result<()> {
    match options.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(Error::Setting(format!("{name} belongs to --objective {objective}; add that, or leave it out"))),
        None => Ok(()),
    }
}

/// What an option names, of all that there are.
pub fn named<T: Copy, const COUNT: usize>(
    option: &str,
    name: Option<&str>,
    default: T,
    all: [T; COUNT],
    name_of: impl Fn(T) -> &'static str,
) -> Result<T> {
    let Some(name) = name else { return Ok(default) };
    let there_are = || all.map(&name_of).join(", ");
    let found = all.into_iter().find(|&one| name_of(one) == name);
    found.ok_or_else(|| Error::Setting(format!("{option} {name}: there are {}", there_are())))
}

/// Refuses a reference that nothing would ask.
///
/// # Errors
/// If the objective has none.
pub fn refuse_reference(directory: Option<&Path>, objective: Objective) -> Result<()> {
    match (directory, objective) {
        (Some(directory), Objective::CrossEntropy) => {
            Err(Error::Setting(format!("--reference {} belongs to --objective dpo or grpo; add one, or leave it out", directory.display())))
        }
        (Some(directory), Objective::Grpo(settings)) if !settings.has_reference() => {
            Err(Error::Setting(format!("--reference {} counts with --beta only; add that, or leave it out", directory.display())))
        }
        _ => Ok(()),
    }
}

/// Opens another model as the reference.
///
/// # Errors
/// If it knows fewer tokens than the model, and errors of reading it.
pub async fn open_reference(directory: &Path, spec: &ModelSpec) -> Result<Model> {
    let reference = open_model(&directory.display().to_string(), 0).await?;
    let (known, needed) = (reference.config.vocab_size, spec.config.vocab_size);
    match known < needed {
        true => Err(Error::Setting(format!(
            "the reference {} knows {known} tokens, and the model {needed}; both need the same vocabulary",
            directory.display()
        ))),
        false => Ok(reference),
    }
}

/// Options of the model and its adapters.
#[derive(Args, Clone)]
pub struct ModelOptions {
    /// Preset, model directory, or config.json or its text (with random weights from the seed)
    #[arg(long)]
    pub model: String,
    #[command(flatten)]
    pub lora: LoraOptions,
    /// Dtype of activations: f32, or bf16 for half the memory
    #[arg(long, default_value = "f32", value_parser = parse_activation_dtype)]
    pub activation_dtype: ActivationDtype,
}

/// An opened model with its training and its weight source.
pub struct Opened {
    /// The model, and which of its parameters are trainable.
    pub spec: ModelSpec,
    /// The source of its values.
    pub values: WithAdapters<Model, Adapters>,
}

/// The weight source of adapters.
pub enum Adapters {
    /// Random initialisation from the seed.
    RandomInit(RandomInit),
    /// A directory.
    Stored(Box<StoredAdapter<Directory>>),
}

impl Adapters {
    /// The names of their tensors: those of their files, or else those of new adapters of that model.
    pub fn names(&self, base: &Model) -> TensorNames {
        match self {
            Adapters::RandomInit(_) => base.adapter_names(),
            Adapters::Stored(stored) => stored.names().clone(),
        }
    }

    /// The dropout that they were trained with elsewhere, and that is not applied here.
    pub fn dropout(&self) -> f64 {
        match self {
            Adapters::RandomInit(_) => 0.0,
            Adapters::Stored(stored) => stored.dropout(),
        }
    }
}

impl WeightSource for Adapters {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        match self {
            Adapters::RandomInit(fresh) => fresh.rows(parameter, rows).await,
            Adapters::Stored(stored) => stored.rows(parameter, rows).await,
        }
    }
}

impl ModelOptions {
    /// Opens the model and its adapters. Values that are not in files are initialised from the seed.
    pub async fn open(&self, seed: u64) -> Result<Opened> {
        self.adapt(self.base(seed).await?, seed).await
    }

    /// The model with its training and its dtypes, and the weight source of the adapters.
    pub async fn spec(&self, config: &Config, seed: u64) -> Result<(ModelSpec, Adapters)> {
        let (spec, adapters) = self.lora.open(config, seed).await?;
        Ok((spec.with_activation_dtype(self.activation_dtype), adapters))
    }

    /// The paths that the model and its adapters are read from.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let model = Some(Path::new(&self.model)).filter(|_| Preset::named(&self.model).is_none());
        model.into_iter().chain(self.lora.lora.as_deref())
    }

    /// Opens the model without adapters.
    pub async fn base(&self, seed: u64) -> Result<Model> {
        let model = open_model(&self.model, seed).await?;
        let path = Path::new(&self.model);
        let beside = path.parent().filter(|_| path.is_file()).map(model_files).unwrap_or_default();
        if model.stored().is_none() && beside.iter().any(|file| is_weights(file)) {
            output::say(format_args!(
                "note: the weights are random, since {} alone was given; give its directory for those beside it",
                self.model
            ));
        }
        Ok(model)
    }

    /// Adds the adapters of the options to the model, if there are any.
    pub async fn adapt(&self, base: Model, seed: u64) -> Result<Opened> {
        let (spec, adapters) = self.spec(&base.config, seed).await?;
        if let Adapters::Stored(stored) = &adapters {
            note_other_base(&self.model, stored);
        }
        Ok(Opened { spec, values: WithAdapters { base, adapters } })
    }
}

/// Says so if adapters name another base model than the one that they are used with.
pub fn note_other_base(model: &str, adapter: &StoredAdapter<Directory>) {
    let names = model_names(model);
    let is_other = |base: &&str| !model_names(base).iter().any(|name| names.contains(name));
    if let Some(base) = adapter.base().filter(is_other) {
        output::say(format_args!(
            "note: the adapters were trained on {base}, and --model is {model}; results are right only if these are the same"
        ));
    }
}

/// The last part of a model's path or name, also behind links. In the cache of the Hugging Face Hub it lies below `models--owner--name`.
fn model_names(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    for path in [Some(path.into()), Path::new(path).canonicalize().ok()].into_iter().flatten() {
        let mut parts = path.components().filter_map(|part| part.as_os_str().to_str()).peekable();
        while let Some(part) = parts.next() {
            let in_cache = part.strip_prefix("models--").and_then(|name| name.rsplit("--").next());
            names.extend(in_cache.or((parts.peek().is_none()).then_some(part)).map(str::to_owned));
        }
    }
    names
}

fn is_weights(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors" || extension == "bin")
}

/// Notes that sequences are longer than a model in files was made for.
pub fn note_length(base: &Model, seq_len: u32) {
    if let Some(beyond) = base.stored().and_then(|_| base.config.beyond_context(seq_len)) {
        output::say(format_args!("note: {beyond}"));
    }
}

/// Options of LoRA training.
#[derive(Args, Clone)]
pub struct LoraOptions {
    /// Directory of adapters in the layout of PEFT, to continue training; everything else is frozen
    #[arg(long, value_name = "DIR", conflicts_with_all = ["lora_rank", "lora_alpha", "lora_targets", "lora_layers", "use_rslora"])]
    pub lora: Option<PathBuf>,
    /// Rank of new LoRA adapters; everything else is frozen
    #[arg(long)]
    pub lora_rank: Option<u32>,
    /// LoRA alpha: the scale of the adapters is alpha / rank [default: twice the rank]
    #[arg(long, requires = "lora_rank")]
    pub lora_alpha: Option<f64>,
    /// Projections with adapters, as q_proj,v_proj or q_proj v_proj [default: all]
    #[arg(long, requires = "lora_rank", num_args = 1.., value_delimiter = ',', value_parser = parse_projection)]
    pub lora_targets: Vec<Projection>,
    /// Layers with adapters, as 16-31 or 0,4-7; those below the lowest need no backward pass [default: all]
    #[arg(long, requires = "lora_rank", value_name = "LAYERS")]
    pub lora_layers: Option<Layers>,
    /// Rank-stabilised LoRA: the scale is alpha / √rank
    #[arg(long, requires = "lora_rank")]
    pub use_rslora: bool,
    /// Dtype of frozen matrices: f32, f16, bf16 or int8
    #[arg(long, default_value = "bf16", value_parser = parse_frozen_dtype)]
    pub frozen: Dtype,
}

impl LoraOptions {
    /// The model with its training, and the weight source of the adapters.
    pub async fn open(&self, config: &Config, seed: u64) -> Result<(ModelSpec, Adapters)> {
        if let Some(directory) = &self.lora {
            let stored = open_adapter(directory, config).await?;
            return Ok((ModelSpec::lora(config, stored.lora().clone(), self.frozen)?, Adapters::Stored(Box::new(stored))));
        }
        let fresh = Adapters::RandomInit(RandomInit { seed });
        let Some(rank) = self.lora_rank else { return Ok((config.into(), fresh)) };
        let targets = if self.lora_targets.is_empty() { Projection::ALL.to_vec() } else { self.lora_targets.clone() };
        let alpha = self.lora_alpha.unwrap_or(2.0 * f64::from(rank));
        let lora = Lora { rank, alpha, use_rslora: self.use_rslora, targets, layers: self.lora_layers.clone() };
        Ok((ModelSpec::lora(config, lora, self.frozen)?, fresh))
    }
}

fn parse_projection(name: &str) -> Result<Projection, String> {
    Projection::named(name).ok_or_else(|| format!("there are {}", Projection::ALL.map(Projection::name).join(", ")))
}

fn parse_activation_dtype(name: &str) -> Result<ActivationDtype, String> {
    ActivationDtype::named(name).ok_or_else(|| format!("there are {}", ActivationDtype::ALL.map(ActivationDtype::name).join(", ")))
}

fn parse_frozen_dtype(name: &str) -> Result<Dtype, String> {
    Dtype::named(name).ok_or_else(|| format!("there are {}", Dtype::ALL.map(Dtype::name).join(", ")))
}

impl StrategyOptions {
    /// Is the strategy left open: is none of the options given?
    pub fn is_open(&self) -> bool {
        let StrategyOptions { strategy, chunk, logits_chunk, logits_bytes, save_activations, offload, fixed_chunks, layer_group } = self;
        let is_given = chunk.is_some() || logits_chunk.is_some() || logits_bytes.is_some() || *offload || *fixed_chunks;
        strategy.is_none() && save_activations.is_none() && layer_group.is_none() && !is_given
    }

    /// Does the speed of the adapter decide about the chunk length of such batches?
    pub fn needs_speed(&self, shape: &BatchShape) -> bool {
        self.kind() == StrategyKind::Stream && self.chunk() == ChunkLength::Auto && auto_chunk_needs_speed(shape.tokens())
    }

    /// The strategy for such batches, and the chunk length of `auto` if that is asked for. Prints a note on standard error if a length is
    /// rounded.
    pub fn resolve(
        self,
        objective: Objective,
        spec: &ModelSpec,
        shape: &BatchShape,
        budget: Option<u64>,
        limits: Limits,
        speed: &DeviceSpeed,
    ) -> (Strategy, Option<AutoChunk>) {
        let of = |chunk| self.with_chunk(chunk);
        if self.kind() != StrategyKind::Stream {
            return (of(TOKEN_TILE), None);
        }
        self.note_rounded();
        let choose = || auto_chunk(objective, spec, shape, of, budget.unwrap_or(u64::MAX), limits, speed);
        let (chunk, auto) = self.chunk().resolve(choose);
        (of(chunk), auto)
    }

    /// The strategy with chunks of that many tokens.
    pub fn with_chunk(&self, chunk: u32) -> Strategy {
        let logits_chunk = self.logits_chunk.unwrap_or(ChunkLength::Auto).or(chunk);
        let strategy = Strategy::new(self.kind(), chunk, logits_chunk).saving(self.save_activations.unwrap_or_default());
        let strategy = strategy.offloading(self.offload).with_adaptive_chunks(!self.fixed_chunks);
        let strategy = strategy.with_layer_group(self.layer_group.unwrap_or(1));
        match self.logits_bytes {
            Some(bytes) if self.kind() == StrategyKind::Stream => strategy.with_logits_bytes(bytes),
            _ => strategy,
        }
    }

    fn kind(&self) -> StrategyKind {
        self.strategy.unwrap_or(StrategyKind::Stream)
    }

    /// The chunk length in the layers, as it is asked for.
    fn chunk(&self) -> ChunkLength {
        self.chunk.unwrap_or(ChunkLength::Auto)
    }

    fn note_rounded(&self) {
        for (name, asked) in [("--chunk", self.chunk), ("--logits-chunk", self.logits_chunk)] {
            if let Some(ChunkLength::Tokens(asked)) = asked
                && let Some(rounded) = asked.checked_next_multiple_of(TOKEN_TILE).filter(|&rounded| rounded != asked)
            {
                output::say(format_args!("note: {name} {asked} is rounded up to {rounded}, a multiple of the token tile of {TOKEN_TILE}"));
            }
        }
    }
}

/// What `auto` has taken, and why.
pub fn auto_words(AutoChunk { chunk, bound }: AutoChunk) -> String {
    let why = match bound {
        ChunkBound::Adapter => "longer ones would hardly shorten the step",
        ChunkBound::Batch => "in so short a batch, longer ones would save little memory",
        ChunkBound::Most => "the longest that auto takes",
        ChunkBound::Budget => "longer ones are over the budget or more than the adapter can bind",
    };
    format!("auto takes chunks of {chunk} tokens: {why}")
}

/// A description of a strategy, for a batch of that many tokens and a model of that many layers.
pub fn strategy_words(strategy: Strategy, tokens: u32, layers: u32) -> String {
    let saved = strategy.saved_activations().to_string();
    let saves = if strategy.kind == StrategyKind::Standard || saved.is_empty() { String::new() } else { format!(", saves {saved}") };
    let offloads = if strategy.offloads() { ", offloads" } else { "" };
    let and_more = if strategy.has_adaptive_chunks() { " or more" } else { "" };
    match strategy.kind {
        StrategyKind::Stream => {
            let groups = match strategy.layer_group(layers) {
                1 => String::new(),
                group => format!(", groups of {group} layers"),
            };
            format!("{}, chunks of {} tokens{and_more}{groups}{saves}{offloads}", strategy.kind, strategy.chunk(tokens))
        }
        _ => format!("{}{saves}{offloads}", strategy.kind),
    }
}

/// Parses a size such as `512MiB`, `2GB`, `1.5 GiB` or a number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim().to_ascii_lowercase());
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024f64.powi(2),
        "gib" => 1024f64.powi(3),
        "tib" => 1024f64.powi(4),
        _ => return Err(format!("\"{unit}\" is no unit of bytes; use MB, GB, MiB or GiB")),
    };
    let number: f64 = number.parse().map_err(|_| format!("\"{text}\" is no number of bytes"))?;
    Ok((number * factor) as u64)
}

/// A progress bar of `all` steps with a message.
pub fn progress_bar(all: u64, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}").expect("the template is valid");
    ProgressBar::new(all).with_style(style).with_message(doing)
}

/// A size in bytes with a binary unit.
pub fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_the_usual_units() {
        assert_eq!(parse_bytes("512MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("2 GB"), Ok(2_000_000_000));
        assert_eq!(parse_bytes("1000"), Ok(1000));
        assert!(parse_bytes("many").is_err());
        assert!(parse_bytes("3 lots").is_err());
    }
}
