//! What an operation costs, whatever device runs it: arithmetic and bytes moved.

use std::ops::AddAssign;

use super::{Block, Chunk, Op, Program, Rows, Slice, TensorId, Walk};

/// Arithmetic and traffic of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Bytes that must be read and written at least, were every operand touched once.
    pub bytes: u64,
}

/// Operations that a device does while it moves a byte to or from its memory, or while it starts on another operation of the program:
/// of the order that CPUs and GPUs have in common.
const FLOPS_PER_BYTE: u64 = 8;
const FLOPS_PER_TURN: u64 = 1_000_000;

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl Program {
    /// What an operation costs for one chunk.
    pub fn cost(&self, op: &Op, chunk: Chunk) -> Cost {
        let bytes = op.operands().into_iter().map(|(name, id)| self.rows_touched(op, name, id, chunk) * self.tensor(id).row_bytes()).sum();
        Cost { flops: self.flops(op, chunk), bytes }
    }

    /// What a whole step costs.
    pub fn step_cost(&self) -> Cost {
        let mut sum = Cost::default();
        self.blocks.iter().for_each(|block| sum += self.block_cost(block));
        sum
    }

    /// How long a step takes, as operations that could be done in that time: a rough measure, by which plans can be compared.
    pub fn step_effort(&self) -> u64 {
        let Cost { flops, bytes } = self.step_cost();
        flops + FLOPS_PER_BYTE * bytes + FLOPS_PER_TURN * self.turn_count()
    }

    /// What all chunks of a block cost together.
    pub fn block_cost(&self, block: &Block) -> Cost {
        let mut sum = Cost::default();
        block.nodes.iter().for_each(|node| sum += self.walk_cost(&node.op, block.walk));
        sum
    }

    /// What an operation costs for all chunks of a walk: a token's arithmetic is the same in every chunk, but what belongs to no token is
    /// read for each of them, and so are the keys that its queries look back on.
    fn walk_cost(&self, op: &Op, walk: Walk) -> Cost {
        let tokens = self.tokens();
        let all = Chunk { index: 0, start: 0, count: tokens };
        let rows = |name: &str, id: TensorId| match self.tensor(id).rows {
            Rows::Fixed(rows) => u64::from(rows) * u64::from(walk.chunk_count(tokens)),
            _ if is_looked_back_on(op, name) => walk.chunks(tokens).map(|chunk| self.rows_touched(op, name, id, chunk)).sum(),
            _ => u64::from(tokens),
        };
        let bytes = op.operands().into_iter().map(|(name, id)| rows(name, id) * self.tensor(id).row_bytes()).sum();
        Cost { flops: self.flops(op, all), bytes }
    }

    /// Arithmetic of a training step by the usual convention for a model's efficiency: nothing recomputed counts.
    pub fn model_flops(&self) -> u64 {
        let matrices: u64 = self.parameters.iter().filter(|(_, p)| p.rows.is_some()).map(|(_, p)| p.elements() as u64).sum();
        let lookup =
            if self.config.tie_word_embeddings { 0 } else { u64::from(self.config.vocab_size) * u64::from(self.config.hidden_size) };
        let heads = u64::from(self.config.num_attention_heads) * u64::from(self.config.head_dim);
        let pairs_of = |layer| self.batch.visible_pairs(0..self.tokens(), self.config.window(layer));
        let pairs: u64 = (0..self.config.num_hidden_layers).map(pairs_of).sum();
        6 * (matrices - lookup) * u64::from(self.tokens()) + 12 * pairs * heads
    }

    fn rows_touched(&self, op: &Op, operand: &str, id: TensorId, chunk: Chunk) -> u64 {
        let tensor = self.tensor(id);
        match tensor.rows {
            Rows::Fixed(_) => u64::from(tensor.row_count),
            _ if is_looked_back_on(op, operand) => {
                let before = op.window().map_or(chunk.start, |window| chunk.start.min(window - 1));
                u64::from(before + chunk.count)
            }
            Rows::Tokens | Rows::Ring(_) | Rows::Chunk(_) => u64::from(chunk.count),
        }
    }

    /// The arithmetic of an operation for one chunk.
    pub fn flops(&self, op: &Op, chunk: Chunk) -> u64 {
        let tokens = u64::from(chunk.count);
        let elements = |id| tokens * u64::from(self.tensor(id).cols);
        let matrix = |slice: Slice, read| 2 * tokens * u64::from(slice.rows) * u64::from(self.tensor(read).cols);
        let all = |id| self.tensor(id).elements();
        let head_dim = u64::from(self.config.head_dim);
        let pairs = |window| self.batch.visible_pairs(chunk.start..chunk.end(), window) * u64::from(self.config.num_attention_heads);
        match *op {
            Op::Zero { .. } | Op::Embedding { .. } | Op::Move { .. } => 0,
            Op::EmbeddingGrad { d_out, .. } => elements(d_out),
            Op::RmsNorm { x, .. } => 4 * elements(x),
            Op::RmsNormGrad { d_x, .. } => 8 * elements(d_x),
            Op::RmsNormWeightGrad { x, .. } => 3 * elements(x),
            Op::Linear { x, slice, .. } | Op::LinearWeightGrad { x, slice, .. } => matrix(slice, x),
            Op::LinearGrad { d_x, slice, .. } => matrix(slice, d_x),
            Op::BiasGrad { d_out, .. } => elements(d_out),
            Op::Rope { x, .. } => 3 * elements(x),
            Op::Attention { window, .. } => pairs(window) * (4 * head_dim + 4),
            Op::AttentionQueryGrad { window, .. } => pairs(window) * (6 * head_dim + 6),
            Op::AttentionKeyValueGrad { window, .. } => pairs(window) * (8 * head_dim + 6),
            Op::Glu { out, .. } => 6 * elements(out),
            Op::GluGrad { d_out, .. } => 12 * elements(d_out),
            Op::LogSumExp { logits, .. } => 4 * elements(logits),
            Op::CrossEntropy { logits, .. } => 4 * elements(logits),
            Op::Loss { .. } => 2 * tokens,
            Op::SquareSum { x, .. } => 2 * all(x),
            Op::Clip { partials, .. } => all(partials),
            Op::AdamW { weight, .. } => 14 * all(weight),
        }
    }
}

/// Is that an operand with a row for every token that the chunk's queries see?
fn is_looked_back_on(op: &Op, operand: &str) -> bool {
    match op {
        Op::Attention { .. } | Op::AttentionQueryGrad { .. } => matches!(operand, "k" | "v"),
        Op::AttentionKeyValueGrad { .. } => matches!(operand, "k" | "v" | "d_k" | "d_v"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, PRESETS};
    use crate::step::{BatchShape, Strategy};

    #[test]
    fn a_step_costs_what_its_turns_cost() {
        let config = Config { sliding_window: 70, sliding_layers: vec![true, false, true, false], ..PRESETS[0].config.clone() };
        for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(64, 128)] {
            let program = Program::train(&config, BatchShape::packed(vec![130, 1, 369]), strategy);
            let mut sum = Cost::default();
            for turn in program.turns(0..program.turn_count()) {
                sum += program.cost(&program.blocks[turn.block].nodes[turn.node].op, turn.chunk);
            }
            assert_eq!(program.step_cost(), sum, "{strategy:?}");
        }
    }
}
