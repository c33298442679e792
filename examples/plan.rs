//! Plans training steps without a GPU: the peak of each strategy, and how far each goes in a budget.
//!
//! `cargo run --release --example plan -- [TOKENS [GIBIBYTES]]`

use streambp::error::Result;
use streambp::model::{ModelSpec, PUBLISHED};
use streambp::step::{BatchShape, Limits, Objective, Plan, Program, Strategy, StrategyKind};
use streambp::train::longest_sequence;

fn main() -> Result<()> {
    let numbers: Vec<u32> = std::env::args().skip(1).map(|number| number.parse().expect("a number")).collect();
    let tokens = numbers.first().copied().unwrap_or(16_384);
    let budget = u64::from(numbers.get(1).copied().unwrap_or(24)) << 30;
    let model = &PUBLISHED[0];
    let spec = ModelSpec::from(&model.config);
    println!("{}, {tokens} tokens; budget {} GiB", model.name, budget >> 30);

    for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::default()] {
        let plan = Plan::new(Program::train(&spec, BatchShape::uniform(1, tokens), strategy), Limits::NONE)?;

        // The plan tells what is alive at every operation of the step; the peak is one of them.
        let peak = plan.peak();
        let node = &plan.program().blocks[peak.block].nodes[peak.node];
        let longest = longest_sequence(Objective::CrossEntropy, &spec, 1, strategy, budget, Limits::NONE);
        println!(
            "{:10}  peak {:7.2} GiB at {} of layer {:?}, {:.1} TFLOP; fits up to {} tokens",
            strategy.kind,
            plan.peak_bytes() as f64 / f64::from(1 << 30),
            node.op.kind().stem(),
            node.layer,
            plan.program().step_cost().flops as f64 / 1e12,
            longest.unwrap_or(0),
        );
        if strategy.kind == StrategyKind::Stream {
            plan.alive(peak).iter().take(5).for_each(|live| {
                println!("    {:40} {:8.1} MiB", plan.program().tensor(live.tensor).name, live.bytes as f64 / f64::from(1 << 20));
            });
        }
    }
    Ok(())
}
