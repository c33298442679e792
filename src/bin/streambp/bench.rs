use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use streambp::error::Result;
use streambp::gpu::{Ceilings, Executor, Gpu, Kernels};
use streambp::model::WeightSource;
use streambp::step::{Batch, Pass, Plan, Program, SavedActivations, Strategy, StrategyKind};
use streambp::train::{RooflineRow, matmul_gflops, roofline, verify};

use crate::options::{ModelOptions, Opened, human_bytes, print_json, strategy_words};
use crate::tuning::{Device, plan_all};
use crate::verify::own_batch;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Tokens of a sequence
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    seq_len: u32,
    /// Sequences of the batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// The strategies to set side by side, as checkpoint,stream or checkpoint stream
    #[arg(long, num_args = 1.., value_delimiter = ',', default_values_t = StrategyKind::ALL)]
    strategies: Vec<StrategyKind>,
    /// Tokens of a chunk (for stream): one length, or several to set side by side, as 128,512 or 128 512
    #[arg(long, num_args = 1.., value_delimiter = ',', default_value = "128", value_parser = clap::value_parser!(u32).range(1..))]
    chunk: Vec<u32>,
    /// Tokens of a chunk of logits (for stream) [default: that of --chunk]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    logits_chunk: Option<u32>,
    /// What layers keep beside their inputs (for checkpoint and stream), as `train` takes it
    #[arg(long)]
    save_activations: Option<SavedActivations>,
    /// Set stream beside itself with the inputs of layers on the host
    #[arg(long)]
    offload: bool,
    /// SavedActivation all chunks of one length; else they are longer wherever the step needs less memory than at its peak (for stream)
    #[arg(long)]
    fixed_chunks: bool,
    /// Steps of each strategy that are timed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// What weights and the batch are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Arguments {
    /// Everything that is set side by side.
    fn strategies(&self) -> Vec<Strategy> {
        let of_kind = |&kind: &StrategyKind| match kind {
            StrategyKind::Stream => {
                let stream =
                    |&chunk: &u32| Strategy::stream(chunk, self.logits_chunk.unwrap_or(chunk)).with_adaptive_chunks(!self.fixed_chunks);
                let streams = self.chunk.iter().map(stream);
                streams.flat_map(|stream| [Some(stream), self.offload.then(|| stream.offloading(true))]).flatten().collect()
            }
            _ => vec![Strategy::new(kind, 0, 0)],
        };
        let keeping = |strategy: Strategy| match self.save_activations {
            Some(kept) if strategy.kind != StrategyKind::Standard => strategy.saving(kept),
            _ => strategy,
        };
        self.strategies.iter().flat_map(of_kind).map(keeping).collect()
    }
}

/// Operations that are listed for each strategy.
const OPS: usize = 16;
/// Rows and columns of the matrices whose product is timed alone.
const MATMUL: u32 = 1024;

/// A strategy, ready to be timed.
struct Contestant {
    strategy: Strategy,
    executor: Executor,
    millis: Vec<f64>,
    /// What of these the host was busy with handing the step to the device.
    host_millis: Vec<f64>,
}

pub async fn run(arguments: Arguments, device: Device<'_>, json: bool) -> Result<ExitCode> {
    let Opened { spec, values } = arguments.model.open(arguments.seed).await?;
    let batch = own_batch(arguments.seq_len, arguments.batch, arguments.seed, &spec.config)?;
    let strategies = arguments.strategies();
    let gpu = device.open().await?;
    let steps = strategies.iter().map(|&strategy| Program::train(&spec, batch.shape.clone(), strategy));
    let steps = plan_all(steps, gpu.limits())?;
    let gradients = strategies.iter().map(|&strategy| Program::gradients(&spec, batch.shape.clone(), strategy));
    let gradients = plan_all(gradients, gpu.limits())?;
    let gpu = device.tune(gpu, &spec).await?;
    let (report, _) = verify(&gpu, gradients, &values, &batch, |_, _| ()).await?;
    let contestants = time(&gpu, steps, &values, &batch, arguments.steps).await?;
    let ceilings = gpu.ceilings().await?;
    let matmul = matmul_gflops(&gpu, MATMUL).await?;
    let mut rows = Vec::new();
    for contestant in &contestants {
        rows.push(row(contestant, ceilings, &roofline(&contestant.executor, Pass::STEP, ceilings).await?));
    }
    if json {
        let matmul: Vec<Value> = matmul.iter().map(|(form, gflops)| json!({ "form": form, "gflops": gflops })).collect();
        print_json(&json!({ "adapter": gpu.summary(), "same_bits": report.same_bits, "matmul_1024": matmul, "strategies": rows }));
    } else {
        println!("{}: gradients {}", gpu.name(), if report.same_bits { "are the same bits" } else { "DIFFER" });
        for (form, gflops) in matmul {
            println!("{form} of {MATMUL} × {MATMUL} × {MATMUL}: {gflops:.1} of {:.1} GFLOP/s", ceilings.gflops);
        }
        rows.iter().for_each(print_row);
    }
    Ok(if report.same_bits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Times the strategies in turn, step by step, so that whatever else the machine does slows all of them.
async fn time(gpu: &Gpu, plans: Vec<Plan>, values: &impl WeightSource, batch: &Batch, steps: u32) -> Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for plan in plans {
        let strategy = plan.program().strategy;
        let executor = Executor::new(Kernels::new(gpu, plan)?).await?;
        executor.load(values).await?;
        executor.load_batch(batch);
        contestants.push(Contestant { strategy, executor, millis: Vec::new(), host_millis: Vec::new() });
    }
    // The first round compiles and warms up, and is not counted.
    for round in 0..=steps {
        for contestant in &mut contestants {
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

/// The time for which this thread had a core: where the device runs on the CPU, the two compete for it. Where the system does not tell,
/// it is the wall's time.
struct HostClock(Instant, Option<u64>);

impl HostClock {
    fn start() -> HostClock {
        HostClock(Instant::now(), HostClock::nanos())
    }

    fn elapsed(&self) -> Duration {
        let on_a_core = self.1.zip(HostClock::nanos()).map(|(before, now)| Duration::from_nanos(now - before));
        on_a_core.unwrap_or_else(|| self.0.elapsed())
    }

    /// As Linux tells it: nanoseconds on a core, nanoseconds of waiting for one, turns.
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
    let tokens = program.tokens();
    json!({
        "strategy": contestant.strategy.kind,
        "save_activations": contestant.strategy.saved_activations().to_string(),
        "offload": contestant.strategy.offloads(),
        "fixed_chunks": !contestant.strategy.has_adaptive_chunks(),
        "words": strategy_words(contestant.strategy, tokens),
        "chunk": contestant.strategy.chunk(tokens),
        "logits_chunk": contestant.strategy.logits_chunk(tokens),
        "step_millis": { "median": median, "min": millis[0], "max": millis[millis.len() - 1] },
        "host_millis": host_millis[host_millis.len() / 2],
        "tokens_per_second": f64::from(tokens) / median * 1e3,
        "gflops": program.step_cost().flops as f64 / median / 1e6,
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

fn print_row(row: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    println!(
        "{}: {:.1} ms (min {:.1}, max {:.1}; the host {:.1}), {:.0} tokens/s, {:.2} of {:.1} GFLOP/s, {}",
        row["words"].as_str().unwrap_or(""),
        number(&row["step_millis"]["median"]),
        number(&row["step_millis"]["min"]),
        number(&row["step_millis"]["max"]),
        number(&row["host_millis"]),
        number(&row["tokens_per_second"]),
        number(&row["gflops"]),
        number(&row["adapter_peak_gflops"]),
        human_bytes(row["allocated_bytes"].as_u64().unwrap_or(0))
    );
    let ops: Vec<&Value> = row["ops"].as_array().into_iter().flatten().collect();
    let millis = |ops: &[&Value]| ops.iter().map(|op| number(&op["millis"])).sum::<f64>();
    let all = millis(&ops);
    println!("    {:48} {:>9} {:>6} {:>9} {:>8} {:>12}", "operation", "ms", "share", "GFLOP/s", "GB/s", "of its roof");
    for op in ops.iter().take(OPS) {
        let text = |name: &str| op[name].as_str().unwrap_or("");
        println!(
            "    {:48} {:9.2} {:5.1}% {:9.2} {:8.2} {:11.1}% ({})",
            format!("{} {} {}", text("pass"), text("op"), text("of")),
            number(&op["millis"]),
            100.0 * number(&op["millis"]) / all,
            number(&op["gflops"]),
            number(&op["gigabytes_per_second"]),
            100.0 * number(&op["roof_share"]),
            text("bound_by"),
        );
    }
    if let Some(rest) = ops.get(OPS..) {
        println!("    {:48} {:9.2} {:5.1}%", format!("{} others", rest.len()), millis(rest), 100.0 * millis(rest) / all);
    }
}
