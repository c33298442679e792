//! The grid of layers × chunks, and what each cell holds at a turn of the step.

use std::collections::HashMap;
use std::ops::Range;

use super::part::{Part, Parts};
use super::planned::{Planned, moment};
use crate::step::{Chunk, ChunkOrder, OpInstance, Pass, Rows, Tensor, TensorId, TensorKind};

/// Cells of a row, at most: where a batch has more chunks, one cell stands for several that follow one another.
const MOST_CELLS: u32 = 64;

/// The grid, as it is however far the step has come.
#[derive(Clone, Debug, PartialEq)]
pub struct StepGrid {
    /// The loss head, then the layers from the last to the first, as the backward pass walks them.
    pub rows: Vec<GridRow>,
    /// The most bytes that a cell ever holds for each of its tokens: the scale of all.
    pub densest: f64,
    /// Tensors that cells hold, each with the blocks that touch it first and last.
    spans: HashMap<TensorId, Touched>,
}

/// A row of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct GridRow {
    /// The layer; `None` is the loss head.
    pub layer: Option<u32>,
    /// What all its chunks share: weights, gradients and moments.
    pub shared: Parts,
    /// Its cells, in the order of tokens.
    pub cells: Vec<GridCell>,
    /// Chunks that one cell stands for.
    pub chunks_per_cell: u32,
}

/// A cell of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct GridCell {
    /// The index of its (first) chunk.
    pub chunk: u32,
    /// Its tokens.
    pub tokens: Range<u32>,
}

/// What a cell holds at a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellState {
    /// Rows of tensors that are there from chunk to chunk.
    pub kept: Parts,
    /// Tensors that are there only while their chunk is at work.
    pub passing: Parts,
    /// Is it at work?
    pub is_lit: bool,
}

/// Where a tensor is touched first and last: the block, and the operation within it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Touched {
    first: (usize, usize),
    last: (usize, usize),
}

impl CellState {
    /// Bytes of the cell.
    pub fn bytes(&self) -> u64 {
        self.kept.iter().chain(&self.passing).sum()
    }
}

impl StepGrid {
    /// Reads the grid off a plan.
    pub fn of(planned: &Planned) -> Self {
        let program = &planned.program();
        let (tokens, strategy) = (program.tokens(), program.strategy);
        let layers = (0..program.config().num_hidden_layers).rev().map(Some);
        let row = |layer: Option<u32>| {
            let chunk = if layer.is_some() { strategy.chunk(tokens) } else { strategy.logits_chunk(tokens) };
            let chunks_per_cell = tokens.div_ceil(chunk).div_ceil(MOST_CELLS);
            let wide = chunk.saturating_mul(chunks_per_cell);
            let cells = (0..tokens.div_ceil(wide)).map(|i| {
                let start = i * wide;
                GridCell { chunk: i * chunks_per_cell, tokens: start..start.saturating_add(wide).min(tokens) }
            });
            GridRow { layer, shared: shared(planned, layer), cells: cells.collect(), chunks_per_cell }
        };
        let rows = [None].into_iter().chain(layers).map(row).collect();
        let mut stage = StepGrid { rows, densest: 1.0, spans: spans(planned) };
        stage.densest = stage.densest_cell(planned);
        stage
    }

    /// What every cell holds at a turn, row by row.
    pub fn at(&self, planned: &Planned, number: u64) -> Vec<Vec<CellState>> {
        let turn = planned.program().instance(number);
        let block = &planned.program().blocks[turn.block];
        let layer = block.nodes[turn.node].layer;
        let mut states: Vec<Vec<CellState>> =
            self.rows.iter().map(|row| row.cells.iter().map(|cell| Self::empty(row, cell, layer, block.pass, turn)).collect()).collect();
        for alive in planned.plan.alive(moment(turn)) {
            let tensor = planned.program().tensor(alive.tensor);
            let Some(tokens) = self.tokens_held(planned, alive.tensor, tensor, turn) else { continue };
            let (row, cells) = (self.row_of(tensor), &self.rows[self.row_of(tensor)].cells);
            for (cell, state) in cells.iter().zip(&mut states[row]) {
                let held = tokens.end.min(cell.tokens.end).saturating_sub(tokens.start.max(cell.tokens.start));
                let bytes = 4 * u64::from(held) * u64::from(tensor.cols);
                let parts = if matches!(tensor.rows, Rows::Chunk) { &mut state.passing } else { &mut state.kept };
                parts[Part::of(tensor.kind) as usize] += bytes;
            }
        }
        states
    }

    fn empty(row: &GridRow, cell: &GridCell, layer: Option<u32>, pass: Pass, turn: OpInstance) -> CellState {
        let is_row = if row.layer.is_some() { row.layer == layer } else { pass == Pass::Loss };
        let is_lit = is_row && turn.chunk.start < cell.tokens.end && turn.chunk.end() > cell.tokens.start;
        CellState { is_lit, ..CellState::default() }
    }

    /// A tensor outside the layers is the loss head's, or on its way between it and the embedding.
    fn row_of(&self, tensor: &Tensor) -> usize {
        self.rows.iter().position(|row| row.layer == tensor.layer).expect("every layer has a row")
    }

    /// The tokens for which a tensor holds something that is still needed. `None` if its rows are no tokens.
    fn tokens_held(&self, planned: &Planned, id: TensorId, tensor: &Tensor, turn: OpInstance) -> Option<Range<u32>> {
        let touched = self.spans.get(&id)?;
        let block = &planned.program().blocks[turn.block];
        let chunk_order = block.chunk_order;
        let all = 0..planned.program().tokens();
        match tensor.rows {
            Rows::Chunk => Some(turn.chunk.start..turn.chunk.end()),
            Rows::Fixed(_) => None,
            Rows::Ring(tokens) => {
                let before = tokens - chunk_order.chunk_len(all.end);
                let at_work = if turn.node < block.lookahead.nodes { turn.chunk.start + before } else { turn.chunk.start };
                Some(at_work.saturating_sub(before)..at_work.saturating_add(tokens - before).min(all.end))
            }
            Rows::Tokens => {
                let is_written = turn.node >= touched.first.1;
                let written = if turn.block == touched.first.0 { done(chunk_order, turn.chunk, is_written, &all) } else { all.clone() };
                // Going forward, every later chunk looks back at all keys and values.
                let is_prefix = tensor.kind == TensorKind::KeysValues && matches!(chunk_order, ChunkOrder::Ascending(_));
                let is_needed = turn.node <= touched.last.1;
                let needed = if turn.block == touched.last.0 && !is_prefix { left(chunk_order, turn.chunk, is_needed, &all) } else { all };
                Some(written.start.max(needed.start)..written.end.min(needed.end))
            }
        }
    }

    /// Looks at every operation for the chunk in the middle of its walk.
    fn densest_cell(&self, planned: &Planned) -> f64 {
        let program = &planned.program();
        let mut densest: f64 = 1.0;
        for &at in planned.plan.points() {
            let mut columns = vec![0u64; self.rows.len()];
            for alive in planned.plan.alive(at) {
                let tensor = program.tensor(alive.tensor);
                if self.spans.contains_key(&alive.tensor) && !matches!(tensor.rows, Rows::Fixed(_)) {
                    columns[self.row_of(tensor)] += 4 * u64::from(tensor.cols);
                }
            }
            densest = columns.into_iter().map(|bytes| bytes as f64).fold(densest, f64::max);
        }
        densest
    }
}

/// Tokens that a walk has passed, with or without the chunk at hand.
fn done(chunk_order: ChunkOrder, chunk: Chunk, with_it: bool, all: &Range<u32>) -> Range<u32> {
    match chunk_order {
        ChunkOrder::Ascending(_) | ChunkOrder::Whole | ChunkOrder::Apart { .. } => 0..if with_it { chunk.end() } else { chunk.start },
        ChunkOrder::Descending(_) => {
            let start = if with_it { chunk.start } else { chunk.end() };
            start..all.end
        }
    }
}

/// Tokens that a walk has still to come to, with or without the chunk at hand.
fn left(chunk_order: ChunkOrder, chunk: Chunk, with_it: bool, all: &Range<u32>) -> Range<u32> {
    match chunk_order {
        ChunkOrder::Ascending(_) | ChunkOrder::Whole | ChunkOrder::Apart { .. } => {
            let start = if with_it { chunk.start } else { chunk.end() };
            start..all.end
        }
        ChunkOrder::Descending(_) => 0..if with_it { chunk.end() } else { chunk.start },
    }
}

/// Tensors whose rows are tokens, with where they are touched. The batch and the tables are no one cell's.
fn spans(planned: &Planned) -> HashMap<TensorId, Touched> {
    let mut spans: HashMap<TensorId, Touched> = HashMap::new();
    for (index, block) in planned.program().blocks.iter().enumerate() {
        for (place, node) in block.nodes.iter().enumerate() {
            for id in node.op.operands().into_iter().map(|operand| operand.tensor) {
                let tensor = planned.program().tensor(id);
                if matches!(tensor.rows, Rows::Fixed(_)) || Part::of(tensor.kind) == Part::Tables {
                    continue;
                }
                let here = (index, place);
                spans.entry(id).or_insert(Touched { first: here, last: here }).last = here;
            }
        }
    }
    spans
}

/// Weights of a layer, with their gradients and moments; for the loss head, those outside the layers.
fn shared(planned: &Planned, layer: Option<u32>) -> Parts {
    let mut parts = [0; Part::ALL.len()];
    for (id, tensor) in planned.program().tensors().filter(|(_, tensor)| tensor.layer == layer) {
        let part = Part::of(tensor.kind);
        if part.is_the_models() {
            parts[part as usize] += planned.plan.reserved(id);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::planned::tests::{each, planned, with_groups, with_windows};
    use super::*;
    use crate::step::{Granularity, StrategyKind};

    fn lengths(row: &GridRow) -> Vec<u32> {
        row.cells.iter().map(|cell| cell.tokens.end - cell.tokens.start).collect()
    }

    #[test]
    fn there_is_a_cell_for_each_chunk_of_each_layer() {
        let stage = StepGrid::of(&planned(StrategyKind::Stream, 1000));
        assert_eq!(stage.rows.iter().map(|row| row.layer).collect::<Vec<_>>(), [None, Some(3), Some(2), Some(1), Some(0)]);
        for row in &stage.rows {
            assert_eq!(lengths(row), [128, 128, 128, 128, 128, 128, 128, 104]);
            assert!(row.shared[Part::Weights as usize] > 0);
        }
        let long = StepGrid::of(&planned(StrategyKind::Stream, 100_000));
        assert!(long.rows[1].cells.len() <= MOST_CELLS as usize && long.rows[1].chunks_per_cell == 13);
        assert_eq!(lengths(&long.rows[1]).iter().sum::<u32>(), 100_000);
        assert_eq!(StepGrid::of(&planned(StrategyKind::Standard, 1000)).rows[1].cells.len(), 1);
    }

    /// Which cells of a row hold a part, as a string of 0 and 1.
    fn holds(states: &[CellState], part: Part) -> String {
        states.iter().map(|state| if state.kept[part as usize] > 0 { '1' } else { '0' }).collect()
    }

    #[test]
    fn the_forward_pass_fills_it_and_the_backward_pass_empties_it() {
        let planned = planned(StrategyKind::Stream, 1000);
        let stage = StepGrid::of(&planned);
        let forward = planned.program().span(Pass::Forward..=Pass::Forward);
        // Within layer 1: the inputs of layer 2 are written chunk by chunk.
        let layer_one = planned.program().granularity_end(forward.start, Granularity::Layer);
        let third = (0..3).fold(layer_one, |at, _| planned.program().granularity_end(at, Granularity::Chunk)) - 1;
        let states = stage.at(&planned, third);
        assert_eq!(holds(&states[2], Part::LayerInputs), "11100000", "layer 2");
        assert_eq!(holds(&states[3], Part::LayerInputs), "11111111", "layer 1");
        assert_eq!(holds(&states[4], Part::LayerInputs), "00000000", "the embedding is looked up again");
        assert!(states[3][2].is_lit && states.iter().flatten().filter(|state| state.is_lit).count() == 1);
        assert!(states[3][2].passing[Part::Activations as usize] > 0);

        // The layers' last chunk in the backward pass: only the first cell of the layer still holds its input.
        let mut walks = planned.program().pass(Pass::Backward).filter(|(_, block)| matches!(block.chunk_order, ChunkOrder::Descending(_)));
        let (block, chunk_order) = walks.nth(1).unwrap();
        let chunk = chunk_order.chunk_order.chunks(1000).nth(6).unwrap();
        let states = stage.at(&planned, planned.program().instance_number(OpInstance { block, chunk, node: 0 }));
        assert_eq!(chunk.index, 1);
        assert_eq!(holds(&states[2], Part::LayerInputs), "11000000", "layer 2 at work");
        assert_eq!(holds(&states[1], Part::LayerInputs), "00000000", "layer 3 is done");
        assert_eq!(holds(&states[3], Part::LayerInputs), "11111111", "layer 1 waits");
    }

    #[test]
    fn a_group_keeps_one_input_and_the_keys_of_all_its_layers() {
        let planned = with_groups(1000);
        let stage = StepGrid::of(&planned);
        let mut walks = planned.program().pass(Pass::Backward).filter(|(_, block)| matches!(block.chunk_order, ChunkOrder::Descending(_)));
        let (block, walk) = walks.next().unwrap();
        let chunk = walk.chunk_order.chunks(1000).nth(2).unwrap();
        let last = walk.nodes.len() - 1;
        let states = stage.at(&planned, planned.program().instance_number(OpInstance { block, chunk, node: last }));
        // Rows are layers from the last to the first, below the loss head.
        assert_eq!(holds(&states[1], Part::LayerInputs), "00000000", "layer 3 keeps no input");
        assert_eq!(holds(&states[2], Part::LayerInputs), "11111100", "layer 2 keeps the group's");
        assert_eq!([1, 2].map(|row: usize| holds(&states[row], Part::KeysValues)), ["11111000"; 2], "keys of both wait");
        assert!(states[2][5].is_lit && !states[1][5].is_lit, "the group's lower layer is at work last");
    }

    #[test]
    fn a_window_keeps_its_keys_and_no_others() {
        let planned = with_windows(1000);
        let stage = StepGrid::of(&planned);
        let keys = |block: usize, chunk: usize, node: usize| {
            let chunk = planned.program().blocks[block].chunk_order.chunks(1000).nth(chunk).unwrap();
            let states = stage.at(&planned, planned.program().instance_number(OpInstance { block, chunk, node }));
            let lit = states[1].iter().map(|state| if state.is_lit { '1' } else { '0' }).collect::<String>();
            (holds(&states[1], Part::KeysValues), lit)
        };
        let last = |pass| planned.program().pass(pass).find(|(_, block)| block.layers.contains(&3)).unwrap();
        let (forward, _) = last(Pass::Forward);
        let of = |keys: &str, lit: &str| (keys.to_owned(), lit.to_owned());
        assert_eq!(keys(forward, 0, 5), of("10000000", "10000000"));
        assert_eq!(keys(forward, 5, 5), of("00011100", "00000100"));
        let (backward, block) = last(Pass::Backward);
        let rest = block.lookahead.nodes;
        assert_eq!((block.lookahead.chunks, rest > 0), (2, true));
        assert_eq!(keys(backward, 1, 0), of("00000011", "00000010"), "keys of the last chunks come first");
        assert_eq!(keys(backward, 3, 0), of("00001110", "00001000"), "then they are two chunks ahead");
        assert_eq!(keys(backward, 1, rest), of("00001110", "00000010"), "of the rest");
        assert_eq!(keys(backward, 7, rest), of("10000000", "10000000"));
    }

    #[test]
    fn no_cell_is_ever_higher_than_the_scale() {
        for planned in each(300).into_iter().chain([with_windows(1000)]) {
            let strategy = planned.program().strategy;
            let stage = StepGrid::of(&planned);
            let mut highest: f64 = 0.0;
            for number in 0..planned.program().instance_count() {
                for (row, states) in stage.rows.iter().zip(stage.at(&planned, number)) {
                    for (cell, state) in row.cells.iter().zip(states) {
                        highest = highest.max(state.bytes() as f64 / f64::from(cell.tokens.end - cell.tokens.start));
                    }
                }
            }
            assert!(highest <= stage.densest && highest > 0.5 * stage.densest, "{strategy:?}: {highest} of {}", stage.densest);
        }
    }
}
