mod decoding;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use streambp::error::Result;
use streambp::gpu::{Ceilings, Executor, Gpu, Kernels};
use streambp::model::WeightSource;
use streambp::step::{Batch, IGNORED_LABEL, LabelledTiles, Objective, Pass, Plan, Program, SavedActivations, Strategy, StrategyKind};
use streambp::train::{ChunkLength, RooflineRow, matmul_gflops, roofline, verify};

use crate::options::{ModelOptions, Opened, StrategyOptions, human_bytes, strategy_words};
use crate::output;
use crate::session::{Session, plan_all};
use crate::signals::Signals;
use crate::verify::own_batch;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Sequence length in tokens
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    seq_len: u32,
    /// Sequences per batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Strategies to compare, as checkpoint,stream or checkpoint stream
    #[arg(long, num_args = 1.., value_delimiter = ',', default_values_t = StrategyKind::ALL)]
    strategies: Vec<StrategyKind>,
    /// Chunk length in tokens or auto, as in `train` (for stream): one, or several to compare, as auto,512 or auto 512
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "auto")]
    chunk: Vec<ChunkLength>,
    /// Chunk length in the loss head, in tokens, or auto, as in `train` (for stream) [default: auto]
    #[arg(long)]
    logits_chunk: Option<ChunkLength>,
    /// Activations to save in addition to layer inputs (for checkpoint and stream), as in `train`
    #[arg(long)]
    save_activations: Option<SavedActivations>,
    /// Also run stream with layer inputs offloaded to the host
    #[arg(long)]
    offload: bool,
    /// Use fixed chunks; by default chunks are longer wherever the step needs less memory than at its peak (for stream)
    #[arg(long)]
    fixed_chunks: bool,
    /// Layers of a group, as in `train` (for stream): one number, or several to compare, as 1,2
    #[arg(long, num_args = 1.., value_delimiter = ',', default_values_t = [1], value_parser = clap::value_parser!(u32).range(1..))]
    layer_group: Vec<u32>,
    /// Sizes of square matrices whose products are timed alone, as 512,1024
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "1024", value_parser = clap::value_parser!(u32).range(64..=8192))]
    matmul: Vec<u32>,
    /// Share of each sequence, from its start, whose labels are ignored, as those of a prompt are: each strategy is timed with these and with
    /// all labels
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    prompt: Option<f64>,
    /// Numbers of completions that are decoded together, behind a prompt of --seq-len tokens, as 1,8: how long a token of each takes is timed
    #[arg(long, num_args = 1.., value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4096))]
    completions: Vec<u32>,
    /// Timed steps per strategy
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Seed of the weights and the batch
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Arguments {
    /// The options of all strategies to compare.
    fn strategies(&self) -> Vec<StrategyOptions> {
        let options = |kind, chunk, offload, layer_group| StrategyOptions {
            strategy: Some(kind),
            chunk,
            logits_chunk: self.logits_chunk,
            logits_bytes: None,
            save_activations: self.save_activations,
            offload,
            fixed_chunks: self.fixed_chunks,
            layer_group,
        };
        let of_kind = |&kind: &StrategyKind| match kind {
            StrategyKind::Stream => {
                let offloads: &[bool] = if self.offload { &[false, true] } else { &[false] };
                let groups = || self.layer_group.iter().flat_map(|&group| offloads.iter().map(move |&offload| (group, offload)));
                let of_chunk = |&chunk| groups().map(move |(group, offload)| options(kind, Some(chunk), offload, Some(group)));
                self.chunk.iter().flat_map(of_chunk).collect()
            }
            _ => vec![options(kind, None, false, None)],
        };
        self.strategies.iter().flat_map(of_kind).collect()
    }
}

/// The number of operations to list per strategy.
const OPS: usize = 16;

/// A strategy with its executor and timings.
struct Contestant {
    strategy: Strategy,
    executor: Executor,
    batch: Batch,
    /// The share of the step's arithmetic that is left out, because tokens of the batch have no labels.
    left_out: f64,
    millis: Vec<f64>,
    /// The part of these that the host spent submitting the step.
    host_millis: Vec<f64>,
}

pub async fn run(arguments: Arguments, session: Session<'_>) -> Result<ExitCode> {
    session.signals.listen("step")?;
    let Opened { spec, values } = arguments.model.open(arguments.seed).await?;
    let batch = own_batch(arguments.seq_len, arguments.batch, arguments.seed, &spec.config)?;
    let gpu = session.open().await?;
    let mut strategies = Vec::new();
    for options in arguments.strategies() {
        strategies.push(session.strategy(&options, Objective::CrossEntropy, &spec, &batch.shape, None, &gpu).await?);
    }
    let steps = strategies.iter().map(|&strategy| Program::train(&spec, batch.shape.clone(), strategy));
    let steps = plan_all(steps, gpu.limits())?;
    let gradients = strategies.iter().map(|&strategy| Program::gradients(&spec, batch.shape.clone(), strategy));
    let gradients = plan_all(gradients, gpu.limits())?;
    let gpu = session.tune(gpu, &spec).await?;
    let (report, _) = verify(&gpu, gradients, &values, &batch, |_, _| session.signals.check()).await?;
    let batches: Vec<Batch> =
        [Some(batch.clone()), arguments.prompt.map(|share| with_prompt(&batch, share))].into_iter().flatten().collect();
    let mut contestants = time(&gpu, steps, &values, &batches, arguments.steps, session.signals).await?;
    let ceilings = gpu.ceilings().await?;
    let mut matmul = Vec::new();
    for &size in &arguments.matmul {
        let forms = matmul_gflops(&gpu, size.next_multiple_of(64)).await?;
        matmul.extend(forms.into_iter().map(|(form, gflops)| (size.next_multiple_of(64), form, gflops)));
    }
    let prompt = &batch.input_ids[..arguments.seq_len as usize];
    let decoding = decoding::time(&gpu, &spec, &values, prompt, &arguments.completions, arguments.steps, session.signals).await?;
    let mut rows = Vec::new();
    for contestant in &mut contestants {
        session.signals.check()?;
        contestant.executor.load_batch_in_full(&contestant.batch);
        rows.push(row(contestant, ceilings, &roofline(&contestant.executor, Pass::STEP, ceilings).await?));
    }
    if session.json {
        let of_form = |(size, form, gflops): &(u32, &str, f64)| json!({ "size": size, "form": form, "gflops": gflops });
        // The key of the size that was timed before there were others.
        let matmul_1024: Vec<Value> = matmul.iter().filter(|(size, ..)| *size == 1024).map(of_form).collect();
        let matmul: Vec<Value> = matmul.iter().map(of_form).collect();
        output::json(&json!({
            "adapter": gpu.summary(),
            "same_bits": report.same_bits,
            "matmul": matmul,
            "matmul_1024": matmul_1024,
            "decoding": decoding,
            "strategies": rows,
        }))?;
    } else {
        output::line(format_args!("{}: gradients {}", gpu.name(), if report.same_bits { "are the same bits" } else { "DIFFER" }))?;
        for (size, form, gflops) in matmul {
            output::line(format_args!("{form} of {size} × {size} × {size}: {gflops:.1} of {:.1} GFLOP/s", ceilings.gflops))?;
        }
        decoding.iter().try_for_each(decoding::print_row)?;
        rows.iter().try_for_each(print_row)?;
    }
    Ok(if report.same_bits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Times the strategies alternately, step by step, so that other load on the machine affects all of them.
async fn time(
    gpu: &Gpu,
    plans: Vec<Plan>,
    values: &impl WeightSource,
    batches: &[Batch],
    steps: u32,
    signals: &Signals,
) -> Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for (plan, batch) in plans.into_iter().flat_map(|plan| batches.iter().map(move |batch| (plan.clone(), batch))) {
        let program = plan.program();
        let left_out = program.flops_left_out(&LabelledTiles::of(batch)) as f64 / program.step_cost().flops as f64;
        let strategy = program.strategy;
        let mut executor = Executor::new(Kernels::new(gpu, plan)?).await?;
        executor.load(values).await?;
        executor.load_batch(batch);
        contestants.push(Contestant { strategy, executor, batch: batch.clone(), left_out, millis: Vec::new(), host_millis: Vec::new() });
    }
    // The first round compiles and warms up, so it does not count.
    for round in 0..=steps {
        for contestant in &mut contestants {
            signals.check()?;
            let (started, host) = (Instant::now(), HostClock::start());
            contestant.executor.run(Pass::STEP).await?;
            let handed_over = host.elapsed();
            contestant.executor.metrics().await?;
            if round > 0 {
                contestant.millis.push(started.elapsed().as_secs_f64() * 1e3);
                contestant.host_millis.push(handed_over.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(contestants)
}

/// The same batch, without labels in the first share of each sequence.
fn with_prompt(batch: &Batch, share: f64) -> Batch {
    let mut labels = batch.labels.clone();
    let mut rest = &mut labels[..];
    for &length in batch.shape.lengths() {
        let (sequence, others) = rest.split_at_mut(length as usize);
        sequence[..(share * f64::from(length)) as usize].fill(IGNORED_LABEL);
        rest = others;
    }
    let batch = Batch { labels, ..batch.clone() };
    let count = batch.count();
    batch.averaged_over(count)
}

fn parse_share(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to below 1, as 0.9".to_owned())
}

/// A clock of this thread's CPU time, because a device that runs on the CPU competes with it for cores. It falls back to wall time.
struct HostClock(Instant, Option<u64>);

impl HostClock {
    fn start() -> HostClock {
        HostClock(Instant::now(), HostClock::nanos())
    }

    fn elapsed(&self) -> Duration {
        let on_a_core = self.1.zip(HostClock::nanos()).map(|(before, now)| Duration::from_nanos(now - before));
        on_a_core.unwrap_or_else(|| self.0.elapsed())
    }

    /// The CPU time of this thread in nanoseconds, on Linux: the first field of schedstat.
    fn nanos() -> Option<u64> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
    }
}

fn row(contestant: &Contestant, ceilings: Ceilings, ops: &[RooflineRow]) -> Value {
    let sorted = |millis: &[f64]| {
        let mut millis = millis.to_vec();
        millis.sort_by(f64::total_cmp);
        millis
    };
    let (millis, host_millis) = (sorted(&contestant.millis), sorted(&contestant.host_millis));
    let median = millis[millis.len() / 2];
    let program = contestant.executor.program();
    let (tokens, layers) = (program.tokens(), program.config().num_hidden_layers);
    json!({
        "strategy": contestant.strategy.kind,
        "save_activations": contestant.strategy.saved_activations().to_string(),
        "offload": contestant.strategy.offloads(),
        "fixed_chunks": !contestant.strategy.has_adaptive_chunks(),
        "layer_group": contestant.strategy.layer_group(layers),
        "words": strategy_words(contestant.strategy, tokens, layers),
        "flops_left_out": contestant.left_out,
        "chunk": contestant.strategy.chunk(tokens),
        "logits_chunk": contestant.strategy.logits_chunk(tokens),
        "step_millis": { "median": median, "min": millis[0], "max": millis[millis.len() - 1] },
        "host_millis": host_millis[host_millis.len() / 2],
        "tokens_per_second": f64::from(tokens) / median * 1e3,
        "gflops": (1.0 - contestant.left_out) * program.step_cost().flops as f64 / median / 1e6,
        "model_gflops": program.model_flops() as f64 / median / 1e6,
        "adapter_peak_gflops": ceilings.gflops,
        "adapter_gigabytes_per_second": ceilings.gigabytes_per_second,
        "planned_bytes": contestant.executor.plan().peak_bytes(),
        "allocated_bytes": contestant.executor.created_bytes(),
        "ops": ops.iter().map(op_row).collect::<Vec<Value>>(),
    })
}

fn op_row(row: &RooflineRow) -> Value {
    json!({
        "pass": row.pass,
        "op": row.op,
        "of": row.of,
        "instances": row.instances,
        "millis": row.seconds * 1e3,
        "gflops": row.flops as f64 / row.seconds / 1e9,
        "gigabytes_per_second": row.bytes as f64 / row.seconds / 1e9,
        "roof_share": row.share(),
        "bound_by": if row.is_arithmetic { "arithmetic" } else { "bytes" },
    })
}

fn print_row(row: &Value) -> Result<()> {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let left_out = match number(&row["flops_left_out"]) {
        0.0 => String::new(),
        share => format!(", {:.0} % left out for tokens without labels", 100.0 * share),
    };
    output::line(format_args!(
        "{}{left_out}: {:.1} ms (min {:.1}, max {:.1}; the host {:.1}), {:.0} tokens/s, {:.2} of {:.1} GFLOP/s, {}",
        row["words"].as_str().unwrap_or(""),
        number(&row["step_millis"]["median"]),
        number(&row["step_millis"]["min"]),
        number(&row["step_millis"]["max"]),
        number(&row["host_millis"]),
        number(&row["tokens_per_second"]),
        number(&row["gflops"]),
        number(&row["adapter_peak_gflops"]),
        human_bytes(row["allocated_bytes"].as_u64().unwrap_or(0))
    ))?;
    let ops: Vec<&Value> = row["ops"].as_array().into_iter().flatten().collect();
    let millis = |ops: &[&Value]| ops.iter().map(|op| number(&op["millis"])).sum::<f64>();
    let all = millis(&ops);
    output::line(format_args!("    {:48} {:>9} {:>6} {:>9} {:>8} {:>12}", "operation", "ms", "share", "GFLOP/s", "GB/s", "of its roof"))?;
    for op in ops.iter().take(OPS) {
        let text = |name: &str| op[name].as_str().unwrap_or("");
        output::line(format_args!(
            "    {:48} {:9.2} {:5.1}% {:9.2} {:8.2} {:11.1}% ({})",
            format!("{} {} {}", text("pass"), text("op"), text("of")),
            number(&op["millis"]),
            100.0 * number(&op["millis"]) / all,
            number(&op["gflops"]),
            number(&op["gigabytes_per_second"]),
            100.0 * number(&op["roof_share"]),
            text("bound_by"),
        ))?;
    }
    if let Some(rest) = ops.get(OPS..) {
        output::line(format_args!("    {:48} {:9.2} {:5.1}%", format!("{} others", rest.len()), millis(rest), 100.0 * millis(rest) / all))?;
    }
    Ok(())
}
