//! Adaptive chunk lengths: longer chunks wherever they do not raise the peak.
//!
//! Memory peaks at one point of the step. Elsewhere less is alive: the forward pass has no gradients of activations yet, and the backward
//! pass has already freed the inputs of later layers. Longer chunks there save dispatches, and they read and write weights and their
//! gradients fewer times. Results are bit-identical for every chunk length, so nothing else changes.

use super::chunk::ChunkOrder;
use super::memory_layout::{MemoryLayout, Runs};
use super::program::{Block, Program};
use super::tensor::{Rows, Storage, TOKEN_TILE};
use crate::model::BINDING_BYTES;

/// The longest useful chunk, in tokens: with it, one dispatch fills most devices.
pub const LONGEST_CHUNK: u32 = 2048;

/// Lengthens the chunks of each block by a power of two, as far as the peak does not rise.
pub(super) fn lengthen(program: &mut Program, runs: &Runs) {
    let memory = layout(program, runs);
    let peak = peak_bytes(program, &memory);
    let fixed = chunk_lengths(program);
    let mut longest = longest(program, &memory, &fixed);
    // The bytes alive may fit while the packing leaves gaps. Then halve the chunks until the packed peak fits, down to the fixed lengths.
    while longest != fixed {
        program.set_chunk_lengths(&longest);
        if peak_bytes(program, &layout(program, runs)) <= peak {
            return;
        }
        let longer = longest.iter_mut().zip(&fixed).filter(|(length, fixed)| **length > **fixed);
        longer.for_each(|(length, fixed)| *length = (*length / 2).next_multiple_of(TOKEN_TILE).max(*fixed));
    }
    program.set_chunk_lengths(&fixed);
}

fn layout(program: &Program, runs: &Runs) -> MemoryLayout {
    MemoryLayout::new(program, runs, u64::MAX)
}

/// The peak in bytes, without the table of chunks. The table has a row for each chunk of each length; a few hundred bytes more are worth
/// it.
fn peak_bytes(program: &Program, memory: &MemoryLayout) -> u64 {
    memory.peak_bytes() - program.tensor(program.bindings.chunks).bytes()
}

fn chunk_lengths(program: &Program) -> Vec<u32> {
    program.blocks.iter().map(|block| block.chunk_order.chunk_len(program.share())).collect()
}

/// The longest chunk of each block, in tokens, that keeps the bytes alive below the peak: the fixed length, doubled some times.
fn longest(program: &Program, memory: &MemoryLayout, fixed: &[u32]) -> Vec<u32> {
    let most = memory.most_alive();
    let of_chunks = memory.chunk_bytes(program);
    let mut times: Vec<u32> = program.blocks.iter().map(|block| most_times(program, block)).collect();
    let points = memory.points.iter().zip(&memory.alive_bytes).zip(of_chunks);
    for ((point, alive), of_chunk) in points.filter(|(_, of_chunk)| *of_chunk > 0) {
        let fit = 1 + (most - alive) / of_chunk;
        times[point.block] = fit.min(u64::from(times[point.block])) as u32;
    }
    fixed.iter().zip(times).map(|(length, times)| (length << times.ilog2()).min(program.share().tokens())).collect()
}

/// The factor by which a block's chunks may grow, memory aside: up to [`LONGEST_CHUNK`] tokens, and no tensor larger than a binding. Blocks with
/// rings or host copies have chunks of fixed length.
fn most_times(program: &Program, block: &Block) -> u32 {
    let tensors = || block.nodes.iter().flat_map(|node| node.op.operands()).map(|operand| program.tensor(operand.tensor));
    let is_bound = tensors().any(|tensor| matches!(tensor.rows, Rows::Ring(_)) || tensor.storage == Storage::Host);
    let length = block.chunk_order.chunk_len(program.share());
    let row_bytes = tensors().map(|tensor| if tensor.rows == Rows::Chunk { tensor.row_bytes() } else { 1 }).max();
    let bindable = BINDING_BYTES / row_bytes.unwrap_or(1);
    match block.chunk_order {
        ChunkOrder::Ascending(_) | ChunkOrder::Descending(_) if !is_bound => (bindable.min(LONGEST_CHUNK.into()) as u32 / length).max(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, PRESETS};
    use crate::step::{BatchShape, Limits, Pass, Plan, SavedActivations, Strategy};

    /// Plans with fixed and with adaptive chunks.
    fn both(config: &Config, tokens: u32, strategy: Strategy) -> [Plan; 2] {
        [false, true].map(|adaptive| {
            let program = Program::train(config, BatchShape::uniform(1, tokens), strategy.with_adaptive_chunks(adaptive));
            Plan::new(program, Limits::NONE).unwrap()
        })
    }

    #[test]
    fn longer_chunks_cost_no_more_than_their_slots() {
        let windows = Config { sliding_window: 70, sliding_layers: vec![true, false, true], ..PRESETS[0].config.clone() };
        for config in [&PRESETS[0].config, &PRESETS[1].config, &windows] {
            for tokens in [1, 64, 300, 512, 4096] {
                for (chunk, logits_chunk) in [(64, 64), (128, 64), (192, 1024)] {
                    let strategy = Strategy::stream(chunk, logits_chunk);
                    for strategy in [strategy, strategy.offloading(true), strategy.saving("attention:1".parse().unwrap())] {
                        let [fixed, adaptive] = both(config, tokens, strategy);
                        let slots = |plan: &Plan| u64::from(plan.program().tensor(plan.program().bindings.chunks).row_count) * 256;
                        assert!(adaptive.peak_bytes() - slots(&adaptive) <= fixed.peak_bytes() - slots(&fixed), "{tokens} {strategy:?}");
                        let more = 256 * u64::from(tokens.div_ceil(chunk) + tokens.div_ceil(logits_chunk));
                        assert!(slots(&adaptive) <= slots(&fixed) + more);
                        assert_eq!(adaptive.program().step_cost().flops, fixed.program().step_cost().flops);
                        assert!(adaptive.program().instance_count() <= fixed.program().instance_count());
                    }
                }
            }
        }
    }

    #[test]
    fn chunks_are_longer_wherever_less_is_alive_and_only_there() {
        let [fixed, adaptive] = both(&PRESETS[1].config, 4096, Strategy::stream(128, 128));
        let lengths = |plan: &Plan| -> Vec<u32> {
            let backward = plan.program().pass(Pass::Backward).filter(|(_, block)| block.title == "backward");
            backward.map(|(_, block)| block.chunk_order.chunk_len(4096)).collect()
        };
        assert!(lengths(&fixed).iter().all(|&length| length == 128));
        let lengths = lengths(&adaptive);
        // Going backward, the inputs of later layers are freed one after the other.
        assert_eq!(lengths[0], 128);
        assert!(lengths.is_sorted() && lengths.last() >= Some(&512), "{lengths:?}");
        assert!(adaptive.program().instance_count() * 2 < fixed.program().instance_count());
        assert_eq!([&fixed, &adaptive].map(|plan| plan.peak_chunk().count), [128, 128]);
    }

    #[test]
    fn strategies_without_chunks_stay_as_they_are() {
        for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::CHECKPOINT.saving(SavedActivations::ALL)] {
            let [fixed, other] = both(&PRESETS[0].config, 300, strategy);
            assert_eq!(fixed.program().instance_count(), other.program().instance_count());
            assert_eq!(fixed.peak_bytes(), other.peak_bytes());
        }
    }
}
