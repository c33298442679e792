//! Options that several commands share, and how sizes are read and written.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use streambp::error::Result;
use streambp::model::{
    Config, Directory, Dtype, Lora, Model, ModelSpec, Parameter, Projection, RandomInit, StoredAdapter, WeightSource, WithAdapters,
    open_adapter, open_model,
};
use streambp::step::{SavedActivations, Strategy, StrategyKind, TOKEN_TILE};

/// Which strategy, in chunks of which length, and what it keeps.
#[derive(Args, Clone, Copy)]
pub struct StrategyOptions {
    /// standard, checkpoint or stream [default: stream]
    #[arg(long)]
    pub strategy: Option<StrategyKind>,
    /// Tokens of a chunk in the layers, rounded up to a multiple of 64 (for stream) [default: 128]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub chunk: Option<u32>,
    /// Tokens of a chunk of logits, rounded up to a multiple of 64 (for stream) [default: that of --chunk]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub logits_chunk: Option<u32>,
    /// Bytes of a chunk's logits at most, as 64MiB; more are taken in blocks of words (for stream) [default: 128MiB]
    #[arg(long, value_parser = parse_bytes)]
    pub logits_bytes: Option<u64>,
    /// What layers keep from the forward pass beside their inputs (for checkpoint and stream), as attention,keys_values:4: any of attention,
    /// keys_values, queries, middle, gate_up, mlp, output, norms, or all; :4 behind a name is for the last four layers
    #[arg(long)]
    pub save_activations: Option<SavedActivations>,
    /// Let the inputs of layers wait in the host's memory
    #[arg(long)]
    pub offload: bool,
    /// SavedActivation all chunks of one length; else they are longer wherever the step needs less memory than at its peak (for stream)
    #[arg(long)]
    pub fixed_chunks: bool,
}

/// Which model, and with which adapters.
#[derive(Args, Clone)]
pub struct ModelOptions {
    /// A preset, a model directory, or a config.json whose weights are drawn from the seed
    #[arg(long)]
    pub model: String,
    #[command(flatten)]
    pub lora: LoraOptions,
}

/// A model that was opened: what of it learns, and where its values come from.
pub struct Opened {
    /// The model as it is trained.
    pub spec: ModelSpec,
    /// Its values.
    pub values: WithAdapters<Model, Adapters>,
}

/// Where the values of adapters come from.
pub enum Adapters {
    /// From the seed.
    RandomInit(RandomInit),
    /// From a directory.
    Stored(StoredAdapter<Directory>),
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
    /// Opens the model; what is not in files is drawn from the seed.
    pub async fn open(&self, seed: u64) -> Result<Opened> {
        self.adapt(self.base(seed).await?, seed).await
    }

    /// Opens the model without adapters.
    pub async fn base(&self, seed: u64) -> Result<Model> {
        open_model(&self.model, seed).await
    }

    /// Gives the model its adapters, if it is to have some.
    pub async fn adapt(&self, base: Model, seed: u64) -> Result<Opened> {
        let (spec, adapters) = self.lora.open(&base.config, seed).await?;
        Ok(Opened { spec, values: WithAdapters { base, adapters } })
    }
}

/// Whether adapters learn rather than the model itself.
#[derive(Args, Clone)]
pub struct LoraOptions {
    /// A directory of adapters in PEFT's layout, to go on from: they learn, and everything else is frozen
    #[arg(long, value_name = "DIR", conflicts_with_all = ["lora_rank", "lora_alpha", "lora_targets", "use_rslora"])]
    pub lora: Option<PathBuf>,
    /// Rank of low-rank adapters: they learn, and everything else is frozen
    #[arg(long)]
    pub lora_rank: Option<u32>,
    /// What the adapters' share is multiplied by, before it is divided by the rank [default: twice the rank]
    #[arg(long, requires = "lora_rank")]
    pub lora_alpha: Option<f64>,
    /// Projections that get adapters, as q_proj,v_proj or q_proj v_proj [default: all]
    #[arg(long, requires = "lora_rank", num_args = 1.., value_delimiter = ',', value_parser = parse_projection)]
    pub lora_targets: Vec<Projection>,
    /// Divide by the root of the rank instead
    #[arg(long, requires = "lora_rank")]
    pub use_rslora: bool,
    /// How frozen matrices are stored: f32, f16, bf16 or int8
    #[arg(long, default_value = "bf16", value_parser = parse_precision)]
    pub frozen: Dtype,
}

impl LoraOptions {
    /// The model as it is trained, and where the adapters' values come from.
    pub async fn open(&self, config: &Config, seed: u64) -> Result<(ModelSpec, Adapters)> {
        if let Some(directory) = &self.lora {
            let stored = open_adapter(directory, config).await?;
            return Ok((ModelSpec::lora(config, stored.lora().clone(), self.frozen)?, Adapters::Stored(stored)));
        }
        let fresh = Adapters::RandomInit(RandomInit { seed });
        let Some(rank) = self.lora_rank else { return Ok((config.into(), fresh)) };
        let targets = if self.lora_targets.is_empty() { Projection::ALL.to_vec() } else { self.lora_targets.clone() };
        let alpha = self.lora_alpha.unwrap_or(2.0 * f64::from(rank));
        Ok((ModelSpec::lora(config, Lora { rank, alpha, use_rslora: self.use_rslora, targets }, self.frozen)?, fresh))
    }
}

fn parse_projection(name: &str) -> Result<Projection, String> {
    Projection::named(name).ok_or_else(|| format!("there are {}", Projection::ALL.map(Projection::name).join(", ")))
}

fn parse_precision(name: &str) -> Result<Dtype, String> {
    Dtype::named(name).ok_or_else(|| format!("there are {}", Dtype::ALL.map(Dtype::name).join(", ")))
}

impl StrategyOptions {
    /// Is anything left to choose?
    pub fn is_open(&self) -> bool {
        let StrategyOptions { strategy, chunk, logits_chunk, logits_bytes, save_activations, offload, fixed_chunks } = self;
        let is_given = chunk.is_some() || logits_chunk.is_some() || logits_bytes.is_some() || *offload || *fixed_chunks;
        strategy.is_none() && save_activations.is_none() && !is_given
    }

    /// The strategy; if a length had to be rounded, it says so on standard error.
    pub fn resolve(self) -> Strategy {
        let kind = self.strategy.unwrap_or(StrategyKind::Stream);
        let chunk = self.chunk.unwrap_or(128);
        let logits_chunk = self.logits_chunk.unwrap_or(chunk);
        if kind == StrategyKind::Stream {
            for (name, asked) in [("--chunk", self.chunk), ("--logits-chunk", self.logits_chunk)] {
                if let Some(asked) = asked.filter(|asked| !asked.is_multiple_of(TOKEN_TILE)) {
                    let rounded = asked.next_multiple_of(TOKEN_TILE);
                    eprintln!("note: {name} {asked} is rounded up to {rounded}, a multiple of the token tile of {TOKEN_TILE}");
                }
            }
        }
        let strategy = Strategy::new(kind, chunk, logits_chunk).saving(self.save_activations.unwrap_or_default());
        let strategy = strategy.offloading(self.offload).with_adaptive_chunks(!self.fixed_chunks);
        match self.logits_bytes {
            Some(bytes) if kind == StrategyKind::Stream => strategy.with_logits_bytes(bytes),
            _ => strategy,
        }
    }
}

/// A strategy in words, for a batch of that many tokens.
pub fn strategy_words(strategy: Strategy, tokens: u32) -> String {
    let kept = strategy.saved_activations().to_string();
    let keeps = if strategy.kind == StrategyKind::Standard || kept.is_empty() { String::new() } else { format!(", keeps {kept}") };
    let offloads = if strategy.offloads() { ", offloads" } else { "" };
    let and_more = if strategy.has_adaptive_chunks() { " or more" } else { "" };
    match strategy.kind {
        StrategyKind::Stream => format!("{}, chunks of {} tokens{and_more}{keeps}{offloads}", strategy.kind, strategy.chunk(tokens)),
        _ => format!("{}{keeps}{offloads}", strategy.kind),
    }
}

/// Reads `512MiB`, `2GB`, `1.5 GiB` or a number of bytes.
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

/// A bar for a command that does so many things, with what it does now behind it.
pub fn progress_bar(all: u64, doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}").expect("the template is valid");
    ProgressBar::new(all).with_style(style).with_message(doing)
}

/// Bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Prints a JSON document.
pub fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string(value).expect("plain data can be written as JSON"));
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
