//! What a step holds for each chunk of each layer, while the backward pass is at work on that chunk.

use std::collections::HashSet;

use super::picture::{Part, Parts, add};
use crate::step::{Alive, Block, Chunk, Memory, Moment, Pass, Program, Rows, TensorId, Walk};

/// Cells of a row, at most: where a batch has more chunks, one cell stands for several of the same size.
const MOST_CELLS: u32 = 256;

/// The grid of layers × chunks.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The loss head: it comes first in the backward pass.
    pub head: Vec<Cell>,
    /// The layers, the last first, as the backward pass walks them.
    pub layers: Vec<Layer>,
    /// Chunks that one cell stands for.
    pub chunks_per_cell: u32,
}

/// A row of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its number.
    pub number: u32,
    /// What all its chunks share: weights, gradients and moments.
    pub shared: Parts,
    /// Its chunks, in the order of tokens.
    pub cells: Vec<Cell>,
}

/// What is held for a chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Which tokens.
    pub chunk: Chunk,
    /// Held from the forward pass until the chunk's turn in the backward pass.
    pub kept: Parts,
    /// Held only while it is this chunk's turn, or this layer's.
    pub passing: Parts,
}

impl Cell {
    /// Bytes of the cell.
    pub fn bytes(&self) -> u64 {
        self.kept.iter().chain(&self.passing).sum()
    }
}

impl Grid {
    /// Reads the grid off a program and its memory.
    pub fn of(program: &Program, memory: &Memory) -> Self {
        let walks = |pass| program.pass(pass).filter(|(_, block)| matches!(block.walk, Walk::Descending(_)));
        let from_forward = operands(program.pass(Pass::Forward).map(|(_, block)| block));
        let cells = |(index, block): (usize, &Block)| cells(program, memory, index, block, &from_forward);
        let layers = walks(Pass::Backward).map(|(index, block)| {
            let number = block.layer.expect("a backward walk belongs to a layer");
            Layer { number, shared: shared(program, memory, number), cells: cells((index, block)) }
        });
        let chunks = program.tokens().div_ceil(program.strategy.chunk(program.tokens()));
        Grid { head: walks(Pass::Loss).flat_map(cells).collect(), layers: layers.collect(), chunks_per_cell: chunks.div_ceil(MOST_CELLS) }
    }

    /// The largest cell: the scale of all.
    pub fn largest_cell(&self) -> u64 {
        self.layers.iter().flat_map(|layer| &layer.cells).chain(&self.head).map(Cell::bytes).max().unwrap_or(0)
    }

    /// The largest of what layers share.
    pub fn largest_shared(&self) -> u64 {
        self.layers.iter().map(|layer| layer.shared.iter().sum()).max().unwrap_or(0)
    }
}

fn operands<'a>(blocks: impl Iterator<Item = &'a Block>) -> HashSet<TensorId> {
    blocks.flat_map(|block| &block.nodes).flat_map(|node| node.op.operands()).map(|(_, id)| id).collect()
}

fn cells(program: &Program, memory: &Memory, index: usize, block: &Block, from_forward: &HashSet<TensorId>) -> Vec<Cell> {
    let tensors = fullest(memory, index, block);
    let count = block.walk.chunk_count(program.tokens());
    let mut chunks: Vec<Chunk> = block.walk.chunks(program.tokens()).collect();
    chunks.sort_by_key(|chunk| chunk.index);
    let cell = |chunk: Chunk| {
        let mut cell = Cell { chunk, kept: [0; Part::ALL.len()], passing: [0; Part::ALL.len()] };
        for &alive in &tensors {
            let Some(bytes) = bytes_of_chunk(program, alive, chunk) else { continue };
            // The hidden state's gradient is handed from layer to layer in one place: no layer keeps it.
            let is_kept = from_forward.contains(&alive.tensor) && Part::of(program.tensor(alive.tensor).kind) != Part::Hidden;
            let parts = if is_kept { &mut cell.kept } else { &mut cell.passing };
            add(parts, program, Alive { bytes, ..alive });
        }
        cell
    };
    chunks.into_iter().step_by(count.div_ceil(MOST_CELLS) as usize).map(cell).collect()
}

/// The block's own tensors at the moment when they take the most bytes.
fn fullest(memory: &Memory, index: usize, block: &Block) -> Vec<Alive> {
    let own = operands(std::iter::once(block));
    let at = |node| {
        let alive = memory.alive(Moment { block: index, node });
        alive.into_iter().filter(|alive| own.contains(&alive.tensor)).collect::<Vec<_>>()
    };
    let bytes = |alive: &Vec<Alive>| alive.iter().map(|alive| alive.bytes).sum::<u64>();
    (0..block.nodes.len()).map(at).max_by_key(bytes).expect("a block has an operation")
}

/// What a tensor takes for a chunk. `None` if its rows are no tokens, or if it is there for all layers alike.
fn bytes_of_chunk(program: &Program, alive: Alive, chunk: Chunk) -> Option<u64> {
    let tensor = program.tensor(alive.tensor);
    let is_own = !matches!(tensor.rows, Rows::Fixed(_)) && Part::of(tensor.kind) != Part::Tables;
    is_own.then(|| 4 * u64::from(tensor.cols) * u64::from(chunk.count))
}

/// Weights of a layer, with their gradients and moments.
fn shared(program: &Program, memory: &Memory, layer: u32) -> Parts {
    let mut parts = [0; Part::ALL.len()];
    for (id, tensor) in program.tensors().filter(|(_, t)| t.layer == Some(layer)) {
        if matches!(Part::of(tensor.kind), Part::Weights | Part::Gradients | Part::Optimizer) {
            add(&mut parts, program, Alive { tensor: id, bytes: memory.reserved(id) });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Limits, StrategyKind};
    use crate::web::picture::Picture;
    use crate::web::picture::tests::plan;

    fn grid(kind: StrategyKind) -> Grid {
        Picture::of(&plan(kind), Limits::NONE).grid
    }

    #[test]
    fn there_is_a_cell_for_each_chunk_of_each_layer() {
        let grid = grid(StrategyKind::Stream);
        assert_eq!(grid.layers.iter().map(|layer| layer.number).collect::<Vec<_>>(), [3, 2, 1, 0]);
        for layer in &grid.layers {
            let lengths: Vec<u32> = layer.cells.iter().map(|cell| cell.chunk.count).collect();
            assert_eq!(lengths, [128, 128, 128, 128, 128, 128, 128, 104]);
            assert!(layer.shared[Part::Weights as usize] > 0);
        }
        assert_eq!(grid.head.len(), 8);
    }

    #[test]
    fn only_layer_inputs_are_kept_by_stream() {
        let grid = grid(StrategyKind::Stream);
        let cell = &grid.layers[0].cells[0];
        let kept = |part: Part| cell.kept[part as usize];
        assert_eq!(cell.kept.iter().sum::<u64>(), kept(Part::LayerInputs));
        assert_eq!(kept(Part::LayerInputs), 4 * 128 * 128);
        assert!(cell.passing[Part::Activations as usize] > kept(Part::LayerInputs));
        assert_eq!(grid.layers[3].cells[0].kept, [0; Part::ALL.len()], "the first layer's input is looked up again");
    }

    #[test]
    fn standard_keeps_its_activations_and_has_one_cell() {
        let grid = grid(StrategyKind::Standard);
        let cell = &grid.layers[0].cells[0];
        assert_eq!(grid.layers[0].cells.len(), 1);
        assert!(cell.kept[Part::Activations as usize] > cell.kept[Part::LayerInputs as usize]);
    }

    #[test]
    fn a_long_batch_gets_no_more_cells_than_can_be_seen() {
        let form = crate::web::form::Form { seq_len: "100000".to_owned(), chunk: "64".to_owned(), ..Default::default() };
        let grid = Picture::of(&form.plan().unwrap(), Limits::NONE).grid;
        assert_eq!(grid.chunks_per_cell, 7);
        assert!(grid.layers[0].cells.len() <= MOST_CELLS as usize);
    }
}
