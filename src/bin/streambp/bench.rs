use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use streambp::error::Result;
use streambp::gpu::{Ceilings, Executor, Gpu};
use streambp::model::{Layout, Values};
use streambp::step::{Batch, Pass, Program, Strategy, StrategyKind};
use streambp::train::{RooflineRow, roofline, verify};

use crate::options::{ModelOptions, Opened, human_bytes, print_json};
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
    /// The strategies to set side by side
    #[arg(long, value_delimiter = ',', default_values_t = StrategyKind::ALL)]
    strategies: Vec<StrategyKind>,
    /// Tokens of a chunk (for stream)
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    chunk: u32,
    /// Tokens of a chunk of logits (for stream) [default: that of --chunk]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    logits_chunk: Option<u32>,
    /// Steps of each strategy that are timed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// What weights and the batch are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A strategy, ready to be timed.
struct Contestant {
    strategy: Strategy,
    executor: Executor,
    millis: Vec<f64>,
}

pub async fn run(arguments: Arguments, adapter: Option<&str>, json: bool) -> Result<ExitCode> {
    let Opened { layout, values } = arguments.model.open(arguments.seed).await?;
    let batch = own_batch(arguments.seq_len, arguments.batch, arguments.seed, &layout.config)?;
    let logits_chunk = arguments.logits_chunk.unwrap_or(arguments.chunk);
    let strategies: Vec<Strategy> = arguments.strategies.iter().map(|&kind| Strategy::new(kind, arguments.chunk, logits_chunk)).collect();
    let gpu = Gpu::open(adapter).await?;
    let (report, _) = verify(&gpu, &layout, &values, &batch, &strategies, |_, _| ()).await?;
    let contestants = time(&gpu, &layout, &values, &batch, &strategies, arguments.steps).await?;
    let ceilings = gpu.ceilings().await?;
    let mut rows = Vec::new();
    for contestant in &contestants {
        rows.push(row(contestant, ceilings, &roofline(&contestant.executor, Pass::STEP, ceilings).await?));
    }
    if json {
        print_json(&json!({ "adapter": gpu.summary(), "same_bits": report.same_bits, "strategies": rows }));
    } else {
        println!("{}: gradients {}", gpu.name(), if report.same_bits { "are the same bits" } else { "DIFFER" });
        rows.iter().for_each(print_row);
    }
    Ok(if report.same_bits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Times the strategies in turn, step by step, so that whatever else the machine does slows all of them.
async fn time(
    gpu: &Gpu,
    layout: &Layout,
    values: &impl Values,
    batch: &Batch,
    strategies: &[Strategy],
    steps: u32,
) -> Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for &strategy in strategies {
        let executor = Executor::new(gpu, Program::train(layout, batch.shape.clone(), strategy)).await?;
        executor.load(values).await?;
        executor.load_batch(batch);
        contestants.push(Contestant { strategy, executor, millis: Vec::new() });
    }
    // The first round compiles and warms up, and is not counted.
    for round in 0..=steps {
        for contestant in &mut contestants {
            let started = std::time::Instant::now();
            contestant.executor.run(Pass::STEP).await?;
            contestant.executor.metrics().await?;
            if round > 0 {
                contestant.millis.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(contestants)
}

fn row(contestant: &Contestant, ceilings: Ceilings, ops: &[RooflineRow]) -> Value {
    let mut millis = contestant.millis.clone();
    millis.sort_by(f64::total_cmp);
    let median = millis[millis.len() / 2];
    let program = contestant.executor.program();
    let tokens = program.tokens();
    json!({
        "strategy": contestant.strategy.kind,
        "chunk": contestant.strategy.chunk(tokens),
        "logits_chunk": contestant.strategy.logits_chunk(tokens),
        "step_millis": { "median": median, "min": millis[0], "max": millis[millis.len() - 1] },
        "tokens_per_second": f64::from(tokens) / median * 1e3,
        "gflops": program.step_cost().flops as f64 / median / 1e6,
        "model_gflops": program.model_flops() as f64 / median / 1e6,
        "adapter_peak_gflops": ceilings.gflops,
        "adapter_gigabytes_per_second": ceilings.gigabytes_per_second,
        "planned_bytes": contestant.executor.memory().peak_bytes(),
        "allocated_bytes": contestant.executor.created_bytes(),
        "ops": ops.iter().map(op_row).collect::<Vec<Value>>(),
    })
}

fn op_row(row: &RooflineRow) -> Value {
    json!({
        "pass": row.pass,
        "op": row.op,
        "of": row.of,
        "turns": row.turns,
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
        "{:10} chunk {:6}  {:9.1} ms (min {:.1}, max {:.1})  {:8.0} tokens/s  {:6.2} of {:.1} GFLOP/s  {:>12}",
        row["strategy"].as_str().unwrap_or(""),
        row["chunk"],
        number(&row["step_millis"]["median"]),
        number(&row["step_millis"]["min"]),
        number(&row["step_millis"]["max"]),
        number(&row["tokens_per_second"]),
        number(&row["gflops"]),
        number(&row["adapter_peak_gflops"]),
        human_bytes(row["allocated_bytes"].as_u64().unwrap_or(0))
    );
    let all: f64 = row["ops"].as_array().into_iter().flatten().map(|op| number(&op["millis"])).sum();
    println!("    {:48} {:>9} {:>6} {:>9} {:>8} {:>12}", "operation", "ms", "share", "GFLOP/s", "GB/s", "of its roof");
    for op in row["ops"].as_array().into_iter().flatten() {
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
}
