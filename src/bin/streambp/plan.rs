use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use streambp::error::{Error, Result};
use streambp::gpu::{DeviceClass, DeviceSpeed};
use streambp::model::load_config;
use streambp::step::{BatchShape, Limits, Plan, Program, Strategy, TOKEN_TILE, TensorKind};
use streambp::train::{RankCost, fastest_strategy, longest_sequence};
use streambp::web::format;

use crate::options::{
    ModelOptions, ObjectiveOptions, SampleOptions, StrategyOptions, auto_words, human_bytes, parse_bytes, strategy_words,
};
use crate::out_directory::refuse_to_replace;
use crate::output;
use crate::ranks::PlannedRanks;
use crate::roll_outs::GroupOptions;
use crate::session::Session;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Sequence length in tokens
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    seq_len: u32,
    /// Sequences per batch; pairs of them for dpo
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    #[command(flatten)]
    objective: ObjectiveOptions,
    #[command(flatten)]
    samples: SampleOptions,
    #[command(flatten)]
    group: GroupOptions,
    #[command(flatten)]
    strategy: StrategyOptions,
    /// Memory budget, as 8GiB or in bytes: also prints the longest sequence that fits, and the fastest strategy
    #[arg(long, value_parser = parse_bytes)]
    budget: Option<u64>,
    /// Device whose speed is assumed: h100, rtx-4060, m1 or iris-xe; or this, the adapter at hand. Also prints the predicted time of a step
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Limits of buffers and bindings: webgpu (2 GiB each), vulkan (bindings of 2 GiB) or none [default: those of the adapter with --device
    /// this, otherwise webgpu]
    #[arg(long, value_parser = ["webgpu", "vulkan", "none"])]
    limits: Option<String>,
    #[command(flatten)]
    ranks: PlannedRanks,
    /// File for the memory of the step over time, to open at https://pytorch.org/memory_viz
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Arguments {
    /// The name and the speed of the device, if one is named, and the limits.
    async fn device(&self, session: Session<'_>) -> Result<(Option<(String, DeviceSpeed)>, Limits)> {
        let (device, of_device) = match self.device.as_deref() {
            None => (None, Limits::WEBGPU),
            Some("this") => {
                let gpu = session.open().await?;
                (Some((gpu.name().to_owned(), session.ceilings(&gpu).await?.into())), gpu.limits())
            }
            Some(name) => {
                let class: DeviceClass = name.parse()?;
                (Some((class.title.to_owned(), class.speed())), Limits::WEBGPU)
            }
        };
        let limits = match self.limits.as_deref() {
            None => of_device,
            Some("vulkan") => Limits::VULKAN,
            Some("none") => Limits::NONE,
            Some(_) => Limits::WEBGPU,
        };
        Ok((device, limits))
    }
}

pub async fn run(arguments: &Arguments, session: Session<'_>) -> Result<ExitCode> {
    let (spec, _) = arguments.model.spec(&load_config(&arguments.model.model)?, 0).await?;
    let objective = arguments.group.sampling(arguments.objective.objective(&arguments.samples)?)?;
    let sequences = arguments.batch.saturating_mul(objective.sequences());
    if u64::from(sequences) * u64::from(arguments.seq_len) >= 1 << 31 {
        return Err(Error::Setting("a batch must have fewer than 2^31 tokens; use fewer or shorter sequences".to_owned()));
    }
    let shape = BatchShape::uniform(sequences, arguments.seq_len);
    let (device, limits) = arguments.device(session).await?;
    let speed = &device.as_ref().map_or_else(|| DeviceClass::TYPICAL.speed(), |(_, speed)| *speed);
    let (strategy, auto) = arguments.strategy.resolve(objective, &spec, &shape, arguments.budget, limits, speed);
    let plan_of = |shape: BatchShape| Plan::new(Program::train_for(objective, &spec, shape, strategy), limits);
    let ranks = arguments.ranks.predict(&spec, &shape, speed, plan_of)?;
    let plan = plan_of(shape)?;
    let program = plan.program();
    if let Some(path) = &arguments.trace {
        refuse_to_replace("--trace", path, arguments.model.paths())?;
        std::fs::write(path, plan.memory_trace()).map_err(|e| Error::io(path, e))?;
    }
    let peak = plan.peak();
    let node = &program.blocks[peak.block].nodes[peak.node];
    let kinds = plan.by_kind(peak);
    let mut document = json!({
        "peak_bytes": plan.peak_bytes(),
        "peak_at": { "op": node.op.kind().stem(), "layer": node.layer, "chunk": plan.peak_chunk().index },
        "bytes_by_kind": TensorKind::ALL.iter().zip(kinds).map(|(kind, bytes)| (kind.name().to_owned(), json!(bytes))).collect::<Map<String, Value>>(),
        "unused_bytes": plan.unused_bytes(),
        "host_bytes": plan.host_bytes(),
        "flops": program.step_cost().flops,
        "ops": program.instance_count(),
        "strategy": strategy.kind,
        "chunk": strategy.chunk(program.tokens()),
        "logits_chunk": strategy.logits_chunk(program.tokens()),
        "save_activations": strategy.saved_activations().to_string(),
        "offload": strategy.offloads(),
        "fixed_chunks": !strategy.has_adaptive_chunks(),
        "layer_group": strategy.layer_group(spec.config.num_hidden_layers),
        "activation_dtype": spec.activation_dtype.name(),
    });
    if let Some((name, speed)) = &device {
        document["device"] = json!(name);
        document["predicted_seconds"] = json!(speed.step_seconds(program));
    }
    if let Some((costs, seconds)) = &ranks {
        document["ranks"] = json!(costs);
        document["step_seconds_on_ranks"] = json!(seconds);
    }
    let mut fastest = None;
    if let Some(budget) = arguments.budget {
        // In a tight budget `auto` goes down to a tile.
        let furthest = if auto.is_some() { arguments.strategy.with_chunk(TOKEN_TILE) } else { strategy };
        document["max_seq_len"] = json!(longest_sequence(objective, &spec, sequences, furthest, budget, limits));
        fastest = fastest_strategy(objective, &spec, &program.batch, budget, limits, speed);
        document["fastest"] = fastest.map_or(Value::Null, |strategy| options_of(strategy, program));
    }
    if session.json {
        output::json(&document)?;
    } else {
        print_table(&document, &kinds, arguments.budget)?;
        if let Some(auto) = auto {
            let place = device.as_ref().map_or_else(|| format!("{}, a laptop's GPU", DeviceClass::TYPICAL.title), |(name, _)| name.clone());
            output::line(format_args!("chunk length    {}, on {place}", auto_words(auto)))?;
        }
        if let (Some((name, _)), Some(seconds)) = (&device, document["predicted_seconds"].as_f64()) {
            output::line(format_args!("predicted       {} a step on {name}, not measured", format::seconds(seconds)))?;
        }
        if let Some(strategy) = fastest {
            output::line(format_args!("fastest within   {}", strategy_words(strategy, program.tokens(), spec.config.num_hidden_layers)))?;
        }
    }
    if let Some((costs, seconds)) = ranks.filter(|_| !session.json) {
        print_ranks(&costs, seconds)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each rank.
fn print_ranks(costs: &[RankCost], step_seconds: f64) -> Result<()> {
    output::line(format_args!("on {} ranks    {} a step", costs.len(), format::seconds(step_seconds)))?;
    for (rank, cost) in costs.iter().enumerate() {
        let RankCost { first_token, tokens, peak_bytes, sent_bytes, busy_seconds, waiting_seconds } = *cost;
        output::line(format_args!(
            "  rank {rank:<4} tokens {first_token}–{}, {}, computes {}, waits {}, sends {}",
            first_token + tokens - 1,
            human_bytes(peak_bytes),
            format::seconds(busy_seconds),
            format::seconds(waiting_seconds),
            human_bytes(sent_bytes)
        ))?;
    }
    Ok(())
}

/// The options of a strategy, as JSON.
fn options_of(strategy: Strategy, program: &Program) -> Value {
    let tokens = program.tokens();
    json!({
        "strategy": strategy.kind,
        "chunk": strategy.chunk(tokens),
        "logits_chunk": strategy.logits_chunk(tokens),
        "save_activations": strategy.saved_activations().to_string(),
        "offload": strategy.offloads(),
        "fixed_chunks": !strategy.has_adaptive_chunks(),
        "layer_group": strategy.layer_group(program.config().num_hidden_layers),
    })
}

fn print_table(document: &Value, kinds: &[u64; TensorKind::ALL.len()], budget: Option<u64>) -> Result<()> {
    let bytes = |field: &str| human_bytes(document[field].as_u64().unwrap_or(0));
    output::line(format_args!("peak            {}", bytes("peak_bytes")))?;
    let at = &document["peak_at"];
    output::line(format_args!("reached at      {}, layer {}, chunk {}", at["op"].as_str().unwrap_or(""), at["layer"], at["chunk"]))?;
    for (kind, &size) in TensorKind::ALL.iter().zip(kinds).filter(|(_, size)| **size > 0) {
        output::line(format_args!("  {:22} {:>12}", kind.name().replace('_', " "), human_bytes(size)))?;
    }
    if document["host_bytes"].as_u64() > Some(0) {
        output::line(format_args!("on the host     {}", bytes("host_bytes")))?;
    }
    output::line(format_args!("chunks          {} tokens, logits {}", document["chunk"], document["logits_chunk"]))?;
    if let Some(group) = document["layer_group"].as_u64().filter(|&group| group > 1) {
        output::line(format_args!("layer groups    {group} layers each"))?;
    }
    if let Some(saved) = document["save_activations"].as_str().filter(|saved| !saved.is_empty()) {
        output::line(format_args!("saved           {saved}"))?;
    }
    output::line(format_args!(
        "arithmetic      {:.1} GFLOP in {} operations",
        document["flops"].as_u64().unwrap_or(0) as f64 / 1e9,
        document["ops"]
    ))?;
    if let Some(budget) = budget {
        match document["max_seq_len"].as_u64() {
            Some(longest) => output::line(format_args!("fits {:>10} up to {longest} tokens a sequence", human_bytes(budget)))?,
            None => output::line(format_args!("fits {:>10} no sequence of this model", human_bytes(budget)))?,
        }
    }
    Ok(())
}
