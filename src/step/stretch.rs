//! Longer chunks where they cost no memory.
//!
//! A step needs the most memory at its peak. Elsewhere less is alive: going forward there are no gradients yet, and going back, the inputs
//! of the layers behind are gone. There a chunk may be longer, which saves dispatches, and reading and writing weights and their gradients
//! once for every chunk. As no bit depends on a chunk's length, nothing else changes.

use super::{Block, Limits, Memory, Program, Rows, Storage, TOKEN_TILE, Walk};
use crate::model::BINDING_BYTES;

/// Tokens of a chunk beyond which a longer one gains nothing: a dispatch fills most devices, and what it leaves still fits into caches.
const LONGEST: u64 = 1024;

/// Makes chunks longer where the step's peak allows it, by powers of two.
pub(super) fn stretch(program: &mut Program) {
    let memory = plan(program);
    let even = chunk_lengths(program);
    let mut longest = longest(program, &memory, &even);
    // Tensors that are alive together may fit and still leave gaps between them: then halves of what would fit do, or what was before.
    while longest != even {
        program.set_chunk_lengths(&longest);
        if plan(program).peak_bytes() <= memory.peak_bytes() {
            return;
        }
        longest.iter_mut().zip(&even).for_each(|(length, even)| *length = (*length / 2).next_multiple_of(TOKEN_TILE).max(*even));
    }
    program.set_chunk_lengths(&even);
}

fn plan(program: &Program) -> Memory {
    Memory::plan(program, Limits::NONE).expect("no limit is too low")
}

fn chunk_lengths(program: &Program) -> Vec<u32> {
    program.blocks.iter().map(|block| block.walk.chunk_len(program.tokens())).collect()
}

/// How long the chunks of each block may be: some doublings of what they are.
fn longest(program: &Program, memory: &Memory, even: &[u32]) -> Vec<u32> {
    let most = memory.alive_bytes(memory.peak());
    let of_chunks = memory.chunk_bytes(program);
    let mut times: Vec<u32> = program.blocks.iter().map(|block| most_times(program, block)).collect();
    for (&at, of_chunk) in memory.moments().iter().zip(of_chunks).filter(|(_, of_chunk)| *of_chunk > 0) {
        let fit = 1 + (most - memory.alive_bytes(at)) / of_chunk;
        times[at.block] = fit.min(u64::from(times[at.block])) as u32;
    }
    even.iter().zip(times).map(|(length, times)| (length << times.ilog2()).min(program.tokens())).collect()
}

/// How many times as long a block's chunks may be whatever memory there is: as long as is worth it, no longer than the batch, and no tensor
/// larger than a binding. Rings and what is copied to the host hold chunks of one length.
fn most_times(program: &Program, block: &Block) -> u32 {
    let tensors = || block.nodes.iter().flat_map(|node| node.op.operands()).map(|(_, id)| program.tensor(id));
    let is_bound = tensors().any(|tensor| matches!(tensor.rows, Rows::Ring(_)) || tensor.storage == Storage::Host);
    let length = block.walk.chunk_len(program.tokens());
    let row_bytes = tensors().map(|tensor| if let Rows::Chunk(_) = tensor.rows { tensor.row_bytes() } else { 1 }).max();
    let bindable = BINDING_BYTES / row_bytes.unwrap_or(1);
    match block.walk {
        Walk::Ascending(_) | Walk::Descending(_) if !is_bound => (bindable.min(LONGEST) as u32 / length).max(1),
        _ => 1,
    }
}

impl Program {
    fn set_chunk_lengths(&mut self, lengths: &[u32]) {
        for (block, &longer) in self.blocks.iter_mut().zip(lengths) {
            if let Walk::Ascending(length) | Walk::Descending(length) = &mut block.walk {
                *length = longer;
            }
            for (_, id) in block.nodes.iter().flat_map(|node| node.op.operands()) {
                let tensor = &mut self.tensors[id.0 as usize];
                if let Rows::Chunk(length) = &mut tensor.rows {
                    (*length, tensor.row_count) = (longer, longer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, PRESETS};
    use crate::step::{BatchShape, KeepSet, Pass, Strategy};

    fn peak(program: &Program) -> u64 {
        Memory::plan(program, Limits::NONE).unwrap().peak_bytes()
    }

    fn both(config: &Config, tokens: u32, strategy: Strategy) -> [Program; 2] {
        [false, true].map(|stretch| Program::train(config, BatchShape::uniform(1, tokens), strategy.stretching(stretch)))
    }

    #[test]
    fn longer_chunks_cost_no_more_than_their_slots() {
        let windows = Config { sliding_window: 70, sliding_layers: vec![true, false, true], ..PRESETS[0].config.clone() };
        for config in [&PRESETS[0].config, &PRESETS[1].config, &windows] {
            for tokens in [1, 64, 300, 512, 4096] {
                for (chunk, logits_chunk) in [(64, 64), (128, 64), (192, 1024)] {
                    let strategy = Strategy::stream(chunk, logits_chunk);
                    for strategy in [strategy, strategy.offloading(true), strategy.keeping("attention:1".parse().unwrap())] {
                        let [even, stretched] = both(config, tokens, strategy);
                        let slots = |program: &Program| u64::from(program.tensor(program.bindings.chunks).row_count) * 256;
                        assert!(peak(&stretched) - slots(&stretched) <= peak(&even) - slots(&even), "{tokens} {strategy:?}");
                        assert!(
                            slots(&stretched) <= slots(&even) + 256 * u64::from(tokens.div_ceil(chunk) + tokens.div_ceil(logits_chunk))
                        );
                        assert_eq!(stretched.step_cost().flops, even.step_cost().flops);
                        assert!(stretched.turn_count() <= even.turn_count());
                    }
                }
            }
        }
    }

    #[test]
    fn chunks_are_longer_wherever_less_is_alive_and_only_there() {
        let [even, stretched] = both(&PRESETS[1].config, 4096, Strategy::stream(128, 128));
        let lengths = |program: &Program| -> Vec<u32> {
            let backward = program.pass(Pass::Backward).filter(|(_, block)| block.title == "backward");
            backward.map(|(_, block)| block.walk.chunk_len(4096)).collect()
        };
        assert!(lengths(&even).iter().all(|&length| length == 128));
        let lengths = lengths(&stretched);
        // The inputs of later layers are gone, one after the other.
        assert_eq!(lengths[0], 128);
        assert!(lengths.is_sorted() && lengths.last() >= Some(&512), "{lengths:?}");
        assert!(stretched.turn_count() * 2 < even.turn_count());
        let at = |program: &Program| Memory::plan(program, Limits::NONE).unwrap().peak_chunk(program).count;
        assert_eq!((at(&even), at(&stretched)), (128, 128));
    }

    #[test]
    fn what_keeps_a_layer_whole_has_nothing_to_stretch() {
        for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::CHECKPOINT.keeping(KeepSet::ALL)] {
            let [even, other] = both(&PRESETS[0].config, 300, strategy);
            assert_eq!((even.turn_count(), peak(&even)), (other.turn_count(), peak(&other)));
        }
    }
}
