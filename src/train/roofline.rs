//! Roofline analysis (Williams et al. 2009): the time of each operation against its lower bound by the adapter's ceilings.

use std::ops::RangeInclusive;

use web_time::Instant;

use super::tune::most_expensive;
use crate::error::Result;
use crate::gpu::{Ceilings, Executor, Gpu, Kernels, OpTime, TunableOp};
use crate::model::Config;
use crate::step::{BatchShape, Cost, Op, OpInstance, Pass, Plan, Program, Strategy};

/// The operations of one kind and one weight, summed over all layers and chunks of a step.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RooflineRow {
    /// The pass.
    pub pass: Pass,
    /// The name of the operation.
    pub op: String,
    /// The name of its weight without the layer; empty if it has none.
    pub of: String,
    /// The number of instances.
    pub instances: u64,
    /// Their measured time in seconds.
    pub seconds: f64,
    /// Their floating-point operations.
    pub flops: u64,
    /// A lower bound of the bytes that they move.
    pub bytes: u64,
    /// A lower bound of their time in seconds, at the adapter's ceilings.
    pub least_seconds: f64,
    /// Is the lower bound set by arithmetic rather than bandwidth?
    pub is_arithmetic: bool,
}

impl RooflineRow {
    /// The fraction of the roofline that is reached.
    pub fn share(&self) -> f64 {
        self.least_seconds / self.seconds.max(1e-12)
    }
}

/// The time of a batch's gradients on a device, in total and by operation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    /// The ceilings of the adapter.
    pub ceilings: Ceilings,
    /// The time in seconds of all operations together, as a step runs them.
    pub seconds: f64,
    /// The rows by operation, the most expensive first.
    pub rows: Vec<RooflineRow>,
}

impl Profile {
    /// Measures a program whose batch is loaded. It updates no weights.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn of(executor: &mut Executor, ceilings: Ceilings) -> Result<Profile> {
        // Wait for earlier work, which does not count.
        executor.metrics().await?;
        let started = Instant::now();
        executor.run(Pass::GRADIENTS).await?;
        executor.metrics().await?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Profile { ceilings, seconds, rows: roofline(executor, Pass::GRADIENTS, ceilings).await? })
    }
}

/// Times all operations of consecutive passes and compares them with the ceilings. The most expensive row comes first.
///
/// # Errors
/// If the device was lost.
pub async fn roofline(executor: &Executor, passes: RangeInclusive<Pass>, ceilings: Ceilings) -> Result<Vec<RooflineRow>> {
    let program = executor.program();
    let numbers = program.span(passes);
    let times = executor.profile(numbers.clone()).await?;
    let mut rows: Vec<RooflineRow> = Vec::new();
    let costs = costs(program, program.instances(numbers), &times);
    for (time, cost) in times.iter().zip(costs) {
        let block = &program.blocks[time.point.block];
        let op = &block.nodes[time.point.node].op;
        let (name, of) = (op.kind().stem(), operand(program, op));
        let row = match rows.iter().position(|row| (row.pass, &*row.op, &*row.of) == (block.pass, name, &*of)) {
            Some(at) => &mut rows[at],
            None => {
                let (pass, op) = (block.pass, name.to_owned());
                rows.push(RooflineRow {
                    pass,
                    op,
                    of,
                    instances: 0,
                    seconds: 0.0,
                    flops: 0,
                    bytes: 0,
                    least_seconds: 0.0,
                    is_arithmetic: true,
                });
                rows.last_mut().expect("one was pushed")
            }
        };
        row.instances += time.instances;
        row.seconds += time.seconds;
        row.flops += cost.flops;
        row.bytes += cost.bytes;
    }
    for row in &mut rows {
        (row.least_seconds, row.is_arithmetic) = ceilings.least_seconds(row.flops, row.bytes);
    }
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    Ok(rows)
}

/// The throughput in 10⁹ FLOP/s of multiplying two `size`×`size` matrices, in each form: `linear`, `linear_grad` and `linear_weight_grad`,
/// as in an MLP of these sizes.
///
/// # Errors
/// If the device was lost.
pub async fn matmul_gflops(gpu: &Gpu, size: u32) -> Result<Vec<(&'static str, f64)>> {
    let config = Config::llama([size, size, 1, size / 64, size / 64, 64]);
    let program = Program::gradients(&config, BatchShape::uniform(1, size), Strategy::CHECKPOINT);
    let executor = Executor::new(Kernels::new(gpu, Plan::new(program, gpu.limits())?)?).await?;
    let mut forms = Vec::new();
    for tunable in [TunableOp::Linear, TunableOp::LinearGrad, TunableOp::LinearWeightGrad] {
        let instance = most_expensive(executor.program(), tunable).expect("a layer has matrices");
        let seconds = executor.seconds_with(instance, gpu.tuning()).await?;
        forms.push((tunable.op().stem(), 2.0 * f64::from(size).powi(3) / seconds / 1e9));
    }
    Ok(forms)
}

/// The cost of all instances of each timed operation.
fn costs(program: &Program, instances: impl Iterator<Item = OpInstance>, times: &[OpTime]) -> Vec<Cost> {
    let mut costs = vec![Cost::default(); times.len()];
    for instance in instances {
        let at = times.partition_point(|t| (t.point.block, t.point.node) < (instance.block, instance.node));
        // Host copies are not timed.
        if times.get(at).is_some_and(|time| (time.point.block, time.point.node) == (instance.block, instance.node)) {
            costs[at] += program.cost(program.op(instance.block, instance.node), instance.chunk);
        }
    }
    costs
}

/// The name of an operation's weight without the layer, which distinguishes it from others of its kind.
fn operand(program: &Program, op: &Op) -> String {
    let operand = op.operands().into_iter().find(|operand| matches!(operand.name, "weight" | "d_weight"));
    let Some(operand) = operand else { return String::new() };
    let name = program.tensor(operand.tensor).name.trim_start_matches("d_").trim_end_matches(".weight").to_owned();
    let parts: Vec<&str> = name.split('.').collect();
    let from = parts.iter().position(|part| part.parse::<u32>().is_ok()).map_or(0, |at| at + 1);
    parts[from..].join(".")
}
