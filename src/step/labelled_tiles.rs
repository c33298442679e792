//! Which token tiles of a batch have labels. Nobody needs what the loss head, or the last layer but for its keys and values, computes for the
//! others: their log-probabilities count nowhere, and the gradient of their hidden state is zero.

use super::batch::{Batch, IGNORED_LABEL};
use super::chunk::Chunk;
use super::cost::Cost;
use super::program::{Node, Program};
use super::tensor::TOKEN_TILE;

/// Bits for which the uniforms of a chunk have room.
const LABEL_BITS: usize = 32 * LABEL_WORDS;
const LABEL_WORDS: usize = 56;

/// For each token tile of a batch: has it a label? In a batch of more than 1,792 tiles, some that follow each other are taken as one,
/// the same ones in every chunk: what an operation leaves out, no other may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledTiles {
    of_tile: Vec<bool>,
    tiles_of_bit: usize,
    bits: Vec<u32>,
}

impl LabelledTiles {
    fn new(mut of_tile: Vec<bool>) -> Self {
        let tiles_of_bit = of_tile.len().div_ceil(LABEL_BITS).max(1);
        let mut bits = vec![0; LABEL_WORDS];
        for (bit, tiles) in of_tile.chunks_mut(tiles_of_bit).enumerate().filter(|(_, tiles)| tiles.contains(&true)) {
            tiles.fill(true);
            bits[bit / 32] |= 1 << (bit % 32);
        }
        LabelledTiles { of_tile, tiles_of_bit, bits }
    }

    /// Those of a batch.
    pub fn of(batch: &Batch) -> Self {
        let has_label = |labels: &[u32]| labels.iter().any(|&label| label != IGNORED_LABEL);
        LabelledTiles::new(batch.labels.chunks(TOKEN_TILE as usize).map(has_label).collect())
    }

    /// All of a batch of so many tokens.
    pub fn all(tokens: u32) -> Self {
        LabelledTiles::new(vec![true; tokens.div_ceil(TOKEN_TILE) as usize])
    }

    /// Tiles that a bit stands for.
    pub fn tiles_of_bit(&self) -> u32 {
        self.tiles_of_bit as u32
    }

    /// A bit for each, counted from the start of the batch.
    pub fn bits(&self) -> &[u32] {
        &self.bits
    }

    /// Those of a chunk.
    fn of_chunk(&self, chunk: Chunk) -> &[bool] {
        &self.of_tile[(chunk.start / TOKEN_TILE) as usize..chunk.end().div_ceil(TOKEN_TILE) as usize]
    }

    /// The parts of a chunk that consist of tiles with labels, from first to last.
    fn runs(&self, chunk: Chunk) -> impl Iterator<Item = Chunk> {
        let first = chunk.start / TOKEN_TILE;
        self.of_chunk(chunk)
            .chunk_by(|a, b| a == b)
            .scan(first, move |tile, run| {
                let start = *tile * TOKEN_TILE;
                *tile += run.len() as u32;
                let end = (*tile * TOKEN_TILE).min(chunk.end());
                Some((run[0], Chunk { start, count: end - start, ..chunk }))
            })
            .filter_map(|(is_labelled, run)| is_labelled.then_some(run))
    }
}

impl Program {
    /// The cost of an operation for one chunk of a batch with those labels.
    pub fn cost_with(&self, node: &Node, chunk: Chunk, tiles: &LabelledTiles) -> Cost {
        if !node.labelled_only {
            return self.cost(&node.op, chunk);
        }
        let mut sum = Cost::default();
        tiles.runs(chunk).for_each(|run| sum += self.cost(&node.op, run));
        sum
    }

    /// The floating-point operations of a step that a batch with those labels leaves out.
    pub fn flops_left_out(&self, tiles: &LabelledTiles) -> u64 {
        let of_chunk = |node: &Node, chunk| self.flops(&node.op, chunk) - self.cost_with(node, chunk, tiles).flops;
        let skipping = self.blocks.iter().flat_map(|block| block.nodes.iter().map(move |node| (block, node)));
        let skipping = skipping.filter(|(_, node)| node.labelled_only);
        skipping.map(|(block, node)| block.chunk_order.chunks(self.share()).map(|chunk| of_chunk(node, chunk)).sum::<u64>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;
    use crate::step::{BatchShape, Strategy};

    /// A batch whose labels are those of these tokens.
    fn batch(tokens: u32, labelled: &[u32]) -> Batch {
        let labels = (0..tokens).map(|token| if labelled.contains(&token) { 1 } else { IGNORED_LABEL });
        Batch::new(vec![(vec![1; tokens as usize], labels.collect())])
    }

    #[test]
    fn runs_are_the_tiles_with_labels() {
        let tiles = LabelledTiles::of(&batch(400, &[0, 130, 191, 192, 399]));
        assert_eq!(tiles.of_tile, [true, false, true, true, false, false, true]);
        assert_eq!((tiles.tiles_of_bit(), tiles.bits()[0]), (1, 0b100_1101));
        let runs = |start, count| tiles.runs(Chunk { index: 3, start, count }).map(|run| (run.start, run.count)).collect::<Vec<_>>();
        assert_eq!(runs(0, 400), [(0, 64), (128, 128), (384, 16)]);
        assert_eq!(runs(192, 128), [(192, 64)]);
        assert_eq!(runs(256, 128), []);
    }

    #[test]
    fn a_long_batch_takes_several_tiles_as_one_whatever_its_chunks_are() {
        let tokens = 2 * LABEL_BITS as u32 * TOKEN_TILE + 1;
        let tiles = LabelledTiles::of(&batch(tokens, &[64 * 5, tokens - 1]));
        assert_eq!(tiles.tiles_of_bit(), 3);
        // Tiles 3 to 5 have the second bit.
        assert_eq!(tiles.of_tile[..9].iter().filter(|&&labelled| labelled).count(), 3);
        let last = (tiles.of_tile.len() - 1) / 3;
        let bits = tiles.bits();
        assert_eq!((bits[0], bits[last / 32]), (0b10, 1 << (last % 32)));
        assert_eq!(bits.iter().map(|word| word.count_ones()).sum::<u32>(), 2);
        assert!(LabelledTiles::all(tokens).bits()[0] == u32::MAX && LabelledTiles::all(tokens).tiles_of_bit() == 3);
    }

    #[test]
    fn what_is_left_out_is_the_head_and_most_of_the_last_layer() {
        let config = &PRESETS[0].config;
        let program = |strategy| Program::train(config, BatchShape::uniform(1, 1024), strategy);
        for strategy in [Strategy::STANDARD, Strategy::stream(128, 64)] {
            let program = program(strategy);
            assert_eq!(program.flops_left_out(&LabelledTiles::all(1024)), 0);
            let last = LabelledTiles::of(&batch(1024, &[1000]));
            let saved = program.flops_left_out(&last) as f64 / program.step_cost().flops as f64;
            // One of four layers, as good as all of it, and the head, which is small for bytes.
            assert!((0.15..0.35).contains(&saved), "{strategy:?}: {saved}");
        }
    }
}
