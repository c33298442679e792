//! Predicts the time of a step from its dispatches, without a device.

use super::ceilings::Ceilings;
use super::dispatch::Grid;
use super::lowering::{LoweredBlock, lower_block};
use super::part::Part;
use super::tuning::Tuning;
use crate::step::{Block, Chunk, Cost, Op, OpKind, Program, TOKEN_TILE};

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
}

/// The share of a device's peak that kernels reach on the whole device.
const DEVICE_SHARE: f64 = 0.25;
/// The shares of a workgroup's peak that kernels reach: of attention and its query gradient, of the key and value gradient, and of the rest.
/// Fitted to measured steps on an H100.
const WORKGROUP_SHARES: [f64; 3] = [0.23, 0.12, 0.53];

/// Chunks of a block whose time is computed.
const SAMPLED_CHUNKS: u32 = 4;

impl From<Ceilings> for DeviceSpeed {
    fn from(ceilings: Ceilings) -> DeviceSpeed {
        let [attention, key_value, other] = WORKGROUP_SHARES.map(|share| share * ceilings.workgroup_gflops * 1e9);
        DeviceSpeed {
            dispatch_seconds: ceilings.dispatch_seconds,
            flops: DEVICE_SHARE * ceilings.gflops * 1e9,
            bytes: ceilings.gigabytes_per_second * 1e9,
            attention_workgroup: attention,
            key_value_workgroup: key_value,
            other_workgroup: other,
        }
    }
}

impl DeviceSpeed {
    /// A laptop's GPU, for plans without an adapter: kernels reach a quarter of 2.6 TFLOP/s.
    pub const TYPICAL: DeviceSpeed = DeviceSpeed {
        dispatch_seconds: 6.4e-6,
        flops: 0.65e12,
        bytes: 60e9,
        attention_workgroup: 38e9,
        key_value_workgroup: 20e9,
        other_workgroup: 87e9,
    };

    /// The predicted time of a step in seconds, with kernels of that tuning.
    pub fn step_seconds(&self, program: &Program, tuning: &Tuning) -> f64 {
        program.blocks.iter().map(|block| self.block_seconds(program, block, tuning)).sum()
    }

    /// The time of all chunks of a block. It grows evenly from chunk to chunk, as more keys become visible, so it is computed for a few of
    /// them, and for the last, which may be shorter.
    fn block_seconds(&self, program: &Program, block: &Block, tuning: &Tuning) -> f64 {
        let (tokens, order) = (program.tokens(), block.chunk_order);
        let lowered = lower_block(program, block, tuning);
        let seconds = |index: u32| self.chunk_seconds(program, block, &lowered, order.chunk(order.order(index, tokens), tokens));
        let last = order.chunk_count(tokens) - 1;
        let (mut before, mut sum) = (None, 0.0);
        let stride = last.div_ceil(SAMPLED_CHUNKS).max(1);
        for index in (0..last).step_by(stride as usize).chain(last.checked_sub(1)).chain([last]) {
            let now = seconds(index);
            // All from the one before on, each of which takes longer by as much as the others.
            sum += before.map_or(now, |(at, then): (u32, f64)| f64::from(index - at) * (then + now) / 2.0 + (now - then) / 2.0);
            before = Some((index, now));
        }
        sum
    }

    /// The time of one chunk's dispatches.
    fn chunk_seconds(&self, program: &Program, block: &Block, lowered: &LoweredBlock, chunk: Chunk) -> f64 {
        let dispatch_seconds = |(first, dispatch): &(usize, super::FusedDispatch)| {
            let ops: Vec<&Op> = block.nodes[*first..first + dispatch.len()].iter().map(|node| &node.op).collect();
            let mut cost = Cost::default();
            ops.iter().for_each(|op| cost += program.cost(op, chunk));
            let longest = longest_workgroup(program, ops[0], dispatch.grid, chunk);
            let device = (cost.flops as f64 / self.flops).max(cost.bytes as f64 / self.bytes);
            self.dispatch_seconds + device.max(longest / self.workgroup(ops[0].kind()))
        };
        lowered.fused.iter().map(dispatch_seconds).sum()
    }

    fn workgroup(&self, kind: OpKind) -> f64 {
        match kind {
            OpKind::Attention | OpKind::AttentionQueryGrad => self.attention_workgroup,
            OpKind::AttentionKeyValueGrad => self.key_value_workgroup,
            _ => self.other_workgroup,
        }
    }
}

/// The floating-point operations of the workgroup of an operation that has the most.
fn longest_workgroup(program: &Program, op: &Op, grid: Grid, chunk: Chunk) -> f64 {
    let flops = program.flops(op, chunk) as f64;
    let mean = flops / grid.workgroups(&Part::whole(chunk)).into_iter().map(f64::from).product::<f64>().max(1.0);
    match (op.kind(), grid) {
        // The last token tile sees the most keys.
        (OpKind::Attention | OpKind::AttentionQueryGrad, Grid::TokenTiles(others)) => {
            let before = (chunk.count - 1) / TOKEN_TILE * TOKEN_TILE;
            let last = Chunk { start: chunk.start + before, count: chunk.count - before, ..chunk };
            program.flops(op, last) as f64 / f64::from(others)
        }
        // The first key tile is seen by all queries of the chunk, within its window.
        (_, Grid::KeyTiles { window, others }) => {
            let pairs = program.batch.visible_pairs(chunk.start..chunk.end(), op.window()) as f64;
            let of_tile = f64::from(chunk.count.min(window.saturating_add(TOKEN_TILE))) * f64::from(TOKEN_TILE);
            (flops * of_tile / pairs.max(1.0) / f64::from(others)).min(flops / f64::from(others))
        }
        _ => mean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;
    use crate::step::{BatchShape, Limits, Plan, Strategy};

    const H100: DeviceSpeed = DeviceSpeed {
        dispatch_seconds: 6.4e-6,
        flops: 16.3e12,
        bytes: 1.5e12,
        attention_workgroup: 52e9,
        key_value_workgroup: 27e9,
        other_workgroup: 120e9,
    };

    fn medium_step(strategy: Strategy) -> Program {
        let medium = &PRESETS.iter().find(|preset| preset.name == "medium").unwrap().config;
        let program = Program::train(medium, BatchShape::uniform(1, 4096), strategy);
        Plan::new(program, Limits::NONE).unwrap().program().clone()
    }

    /// Steps of `medium` on 4,096 tokens, in milliseconds, as they were measured on an H100.
    #[test]
    fn measured_steps_are_predicted() {
        let fixed = |chunk| Strategy::stream(chunk, chunk);
        let measured = [
            (Strategy::CHECKPOINT, 92.0),
            (fixed(512), 178.0),
            (fixed(128), 530.0),
            (fixed(512).with_adaptive_chunks(true), 1.4 * 92.0),
            (fixed(128).with_adaptive_chunks(true), 2.0 * 92.0),
        ];
        for (strategy, millis) in measured {
            let predicted = H100.step_seconds(&medium_step(strategy), &Tuning::GPU) * 1e3;
            assert!((predicted / millis - 1.0f64).abs() < 0.06, "{strategy:?}: {predicted} instead of {millis} ms");
        }
    }

    #[test]
    fn a_few_chunks_tell_the_time_of_all() {
        for chunk in [64, 192, 1024] {
            let program = medium_step(Strategy::stream(chunk, chunk));
            for block in &program.blocks {
                let lowered = lower_block(&program, block, &Tuning::GPU);
                let chunks = block.chunk_order.chunks(program.tokens());
                let sum: f64 = chunks.map(|chunk| H100.chunk_seconds(&program, block, &lowered, chunk)).sum();
                let found = H100.block_seconds(&program, block, &Tuning::GPU);
                assert!((found / sum - 1.0).abs() < 0.01, "{}: {found} instead of {sum}", block.title);
            }
        }
    }
}
