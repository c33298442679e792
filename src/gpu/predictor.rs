//! Predicts the time of a step from its dispatches, without a device.

use std::collections::HashMap;

use super::ceilings::Ceilings;
use super::launches::{BlockLaunches, Launch};
use super::tuning::Tuning;
use crate::step::{BatchOfStep, Block, ChunkOrder, Node, OpKind, Program};

/// What a device does while it runs a step's kernels. A dispatch takes at least as long as starting it, and after that as long as the slowest
/// of three: its longest workgroup, its arithmetic on the whole device, and its memory traffic.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DeviceSpeed {
    /// The time in seconds of a dispatch that has nothing to do.
    pub dispatch_seconds: f64,
    /// FLOP/s of all workgroups together.
    pub flops: f64,
    /// Bytes per second.
    pub bytes: f64,
    /// FLOP/s of a workgroup of [`OpKind::Attention`] and [`OpKind::AttentionQueryGrad`].
    pub attention_workgroup: f64,
    /// FLOP/s of a workgroup of [`OpKind::AttentionKeyValueGrad`].
    pub key_value_workgroup: f64,
    /// FLOP/s of a workgroup of all other operations.
    pub other_workgroup: f64,
    /// Workgroups that keep it busy: [`Tuning::busy_workgroups`].
    pub busy_workgroups: u32,
}

/// The share of a device's peak that kernels reach on the whole device.
const DEVICE_SHARE: f64 = 0.25;
/// The same on a CPU: fitted to steps of 512 to 8,192 tokens on lavapipe, on one core and on two.
const CPU_SHARE: f64 = 0.28;
/// The shares of a workgroup's peak that kernels reach: of attention and its query gradient, of the key and value gradient, and of the rest.
/// Fitted to measured steps on an H100.
const WORKGROUP_SHARES: [f64; 3] = [0.23, 0.12, 0.53];

/// A dispatch of a step on a CPU, in dispatches that have nothing to do: its cores wait for the last workgroup. Fitted to lavapipe on two
/// cores, 95 µs to 32.
const CPU_DISPATCH: f64 = 3.0;

/// Storage buffers of a dispatch: as many as browsers have on most adapters.
const STORAGE_BUFFERS: u32 = 10;

/// Chunks of a block whose time is computed.
const SAMPLED_CHUNKS: u32 = 4;

impl From<Ceilings> for DeviceSpeed {
    fn from(ceilings: Ceilings) -> DeviceSpeed {
        let [attention, key_value, other] = WORKGROUP_SHARES.map(|share| share * ceilings.workgroup_gflops * 1e9);
        let (dispatch, share) = if ceilings.is_cpu { (CPU_DISPATCH, CPU_SHARE) } else { (1.0, DEVICE_SHARE) };
        DeviceSpeed {
            dispatch_seconds: dispatch * ceilings.dispatch_seconds,
            flops: share * ceilings.gflops * 1e9,
            bytes: ceilings.gigabytes_per_second * 1e9,
            attention_workgroup: attention,
            key_value_workgroup: key_value,
            other_workgroup: other,
            busy_workgroups: ceilings.busy_workgroups(),
        }
    }
}

/// Predicts the times of several steps of one model on batches of one length. Blocks that do the same, as most layers do and the update of all steps, take equally
/// long.
pub struct Predictor {
    speed: DeviceSpeed,
    tuning: Tuning,
    known: HashMap<BlockWork, f64>,
}

/// What a block does: its chunks, and the kind and the floating-point operations of each operation, for the first chunk and for the last.
type BlockWork = (ChunkOrder, Vec<(OpKind, [u64; 2])>);

impl Predictor {
    /// For a device of that speed, with the kernels for GPUs.
    pub fn new(speed: DeviceSpeed) -> Predictor {
        let tuning = Tuning { max_storage_buffers: STORAGE_BUFFERS, busy_workgroups: speed.busy_workgroups, ..Tuning::GPU };
        Predictor { speed, tuning, known: HashMap::new() }
    }

    /// The predicted time of a step on one batch in seconds.
    pub fn step_seconds(&mut self, program: &Program) -> f64 {
        let blocks = program.blocks.iter().filter(|block| block.batches.include(BatchOfStep::ALONE));
        blocks.map(|block| self.block_seconds(program, block)).sum()
    }

    /// The predicted time of all chunks of a block in seconds.
    pub fn block_seconds(&mut self, program: &Program, block: &Block) -> f64 {
        let Predictor { speed, tuning, known } = self;
        let seconds = || speed.block_seconds(&BlockLaunches::new(program, block, tuning));
        *known.entry(work_of(program, block)).or_insert_with(seconds)
    }
}

fn work_of(program: &Program, block: &Block) -> BlockWork {
    let (order, share) = (block.chunk_order, program.share());
    let ends = [0, order.chunk_count(share) - 1].map(|number| order.chunk(number, share));
    let work = |node: &Node| (node.op.kind(), ends.map(|chunk| program.flops(&node.op, chunk)));
    (order, block.nodes.iter().map(work).collect())
}

impl DeviceSpeed {
    /// The predicted time of a step in seconds.
    pub fn step_seconds(&self, program: &Program) -> f64 {
        Predictor::new(*self).step_seconds(program)
    }

    /// The predicted time of a dispatch in seconds.
    pub fn seconds(&self, launch: &Launch) -> f64 {
        let device = (launch.flops / self.flops).max(launch.bytes / self.bytes);
        self.dispatch_seconds + device.max(launch.longest / self.workgroup(launch.kind))
    }

    /// The time of all chunks of a block. It changes evenly from chunk to chunk, with the number of visible keys, so it is computed for a few
    /// of them, and for the first and the last two: the last in the order of tokens may be shorter.
    fn block_seconds(&self, launches: &BlockLaunches) -> f64 {
        let seconds = |order: u32| launches.of_chunk(order).map(|launch| self.seconds(&launch)).sum::<f64>();
        let last = launches.chunk_count() - 1;
        let mut orders: Vec<u32> = (1..last).step_by(last.div_ceil(SAMPLED_CHUNKS).max(1) as usize).collect();
        orders.extend([0, last.saturating_sub(1), last]);
        orders.sort_unstable();
        orders.dedup();
        let times: Vec<(u32, f64)> = orders.into_iter().map(|order| (order, seconds(order))).collect();
        // All from one on to the next, each of which takes longer by as much as the others.
        let between = |pair: &[(u32, f64)]| {
            let [(from, then), (to, now)] = [pair[0], pair[1]];
            f64::from(to - from) * (then + now) / 2.0 + (now - then) / 2.0
        };
        times[0].1 + times.windows(2).map(between).sum::<f64>()
    }

    fn workgroup(&self, kind: OpKind) -> f64 {
        match kind {
            OpKind::Attention | OpKind::AttentionQueryGrad => self.attention_workgroup,
            OpKind::AttentionKeyValueGrad => self.key_value_workgroup,
            _ => self.other_workgroup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::device_class::DeviceClass;
    use super::*;
    use crate::model::PRESETS;
    use crate::step::{BatchShape, Limits, Plan, Strategy};

    fn medium_step(strategy: Strategy) -> Program {
        let medium = &PRESETS.iter().find(|preset| preset.name == "medium").unwrap().config;
        let program = Program::train(medium, BatchShape::uniform(1, 4096), strategy);
        Plan::new(program, Limits::NONE).unwrap().program().clone()
    }

    #[test]
    fn a_few_chunks_tell_the_time_of_all() {
        for chunk in [64, 192, 1024] {
            let program = medium_step(Strategy::stream(chunk, chunk));
            let speed = DeviceClass::ALL[0].speed();
            let tuning = Predictor::new(speed).tuning;
            let of_block = |block| {
                let launches = BlockLaunches::new(&program, block, &tuning);
                (0..launches.chunk_count()).flat_map(|order| launches.of_chunk(order)).map(|launch| speed.seconds(&launch)).sum::<f64>()
            };
            let sum: f64 = program.blocks.iter().map(of_block).sum();
            let found = speed.step_seconds(&program);
            assert!((found / sum - 1.0).abs() < 0.005, "{chunk}: {found} instead of {sum}");
        }
    }

    /// What short chunks cost on GPUs, beside gradient checkpointing, by the rates of the kernels that were measured.
    #[test]
    fn chunks_of_512_tokens_cost_little_time() {
        let seconds = |class: &DeviceClass, strategy| class.speed().step_seconds(&medium_step(strategy));
        let adaptive = Strategy::stream(512, 512).with_adaptive_chunks(true);
        for class in &DeviceClass::ALL {
            let checkpoint = seconds(class, Strategy::CHECKPOINT);
            let [fixed, adaptive] = [Strategy::stream(512, 512), adaptive].map(|strategy| seconds(class, strategy) / checkpoint);
            eprintln!(
                "{}: {:.0} ms, {fixed:.3} times as long in fixed chunks, {adaptive:.3} in adaptive ones",
                class.title,
                checkpoint * 1e3
            );
            let (most, found) = if class.name == "h100" { (1.15, adaptive) } else { (1.05, fixed) };
            assert!(found <= most, "{}: {found}", class.title);
        }
    }
}
