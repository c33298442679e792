//! The cost of operations, independent of the device: floating-point operations and bytes moved.

use std::ops::AddAssign;

use super::chunk::{Chunk, ChunkOrder};
use super::message::BatchOfStep;
use super::ops::{Op, Operand};
use super::program::{Block, Pass, Program};
use super::tensor::Rows;
use crate::model::{Parameter, Role};

/// The arithmetic and the memory traffic of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Bytes read and written if every operand is touched exactly once: a lower bound.
    pub bytes: u64,
}

/// Floating-point operations in the time of moving one byte to or from device memory: the order of magnitude on CPUs and GPUs.
const FLOPS_PER_BYTE: u64 = 8;

impl Cost {
    /// Arithmetic and traffic together, in floating-point operations that take as long.
    pub fn work(&self) -> u64 {
        self.flops + FLOPS_PER_BYTE * self.bytes
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl Program {
    /// The cost of an operation for one chunk.
    pub fn cost(&self, op: &Op, chunk: Chunk) -> Cost {
        let bytes = |operand: Operand| self.rows_touched(op, &operand, chunk) * self.tensor(operand.tensor).row_bytes();
        Cost { flops: self.flops(op, chunk), bytes: op.operands().into_iter().map(bytes).sum() }
    }

    /// The cost of a whole step on one batch, without that of sampling what it learns from.
    pub fn step_cost(&self) -> Cost {
        let mut sum = Cost::default();
        let is_run = |block: &&Block| Pass::STEP.contains(&block.pass) && block.batches.include(BatchOfStep::ALONE);
        self.blocks.iter().filter(is_run).for_each(|block| sum += self.block_cost(block));
        sum
    }

    /// The cost of all chunks of a block.
    pub fn block_cost(&self, block: &Block) -> Cost {
        let mut sum = Cost::default();
        block.nodes.iter().for_each(|node| sum += self.cost_over_chunks(&node.op, block.chunk_order));
        sum
    }

    /// The cost of an operation for all chunks of a block. Rows of tokens are read once in total, but each chunk reads tensors without
    /// token rows (weights) again, and the keys that are visible to its queries.
    fn cost_over_chunks(&self, op: &Op, order: ChunkOrder) -> Cost {
        let share = self.share();
        if !order.is_of_batch() {
            return self.cost_apart(op, order);
        }
        let all = Chunk { index: 0, start: share.first, count: share.tokens() };
        let rows = |operand: &Operand| match self.tensor(operand.tensor).rows {
            Rows::Fixed(rows) => u64::from(rows) * u64::from(order.chunk_count(share)),
            _ if operand.is_visible_prefix => order.chunks(share).map(|chunk| self.rows_touched(op, operand, chunk)).sum(),
            _ => u64::from(share.tokens()),
        };
        let bytes = |operand: Operand| rows(&operand) * self.tensor(operand.tensor).row_bytes();
        Cost { flops: self.flops(op, all), bytes: op.operands().into_iter().map(bytes).sum() }
    }

    /// The same of tokens that are not those of the batch: as if the cost grew evenly from the first chunk to the last.
    fn cost_apart(&self, op: &Op, order: ChunkOrder) -> Cost {
        let chunks = order.chunk_count(self.share());
        let [first, last] = [0, chunks - 1].map(|number| self.cost(op, order.chunk(number, self.share())));
        let over_all = |first: u64, last: u64| (first + last) * u64::from(chunks) / 2;
        Cost { flops: over_all(first.flops, last.flops), bytes: over_all(first.bytes, last.bytes) }
    }

    /// Model FLOPs of a training step, as in model FLOPs utilisation (PaLM, Chowdhery et al. 2022, appendix B): 2 per parameter and token in
    /// the forward pass, 2 for the gradient of its input and 2 for its own, plus attention. Recomputation does not count, nor do gradients
    /// that frozen parameters make needless.
    pub fn model_flops(&self) -> u64 {
        let (config, lowest) = (self.config(), self.parameters.lowest_trainable_layer());
        let has_backward = |layer: Option<u32>| layer.is_none_or(|layer| layer >= lowest);
        let is_multiplied = |p: &Parameter| p.rows.is_some() && (p.role != Role::Embedding || config.tie_word_embeddings);
        let flops_of = |p: &Parameter| p.elements() as u64 * 2 * (1 + u64::from(has_backward(p.layer)) + u64::from(p.is_trainable));
        let matrices: u64 = self.parameters.iter().map(|(_, p)| p).filter(|p| is_multiplied(p)).map(flops_of).sum();
        let heads = u64::from(config.num_attention_heads) * u64::from(config.head_dim);
        let attention = |layer: u32| {
            let pairs = self.batch.visible_pairs(0..self.tokens(), config.window(layer));
            pairs * heads * if has_backward(Some(layer)) { 12 } else { 4 }
        };
        matrices * u64::from(self.tokens()) + (0..config.num_hidden_layers).map(attention).sum::<u64>()
    }

    fn rows_touched(&self, op: &Op, operand: &Operand, chunk: Chunk) -> u64 {
        let tensor = self.tensor(operand.tensor);
        if let Some(rows) = op.rows_read(&self.sizes(chunk), operand) {
            return rows;
        }
        match tensor.rows {
            Rows::Fixed(_) => u64::from(tensor.row_count),
            _ if operand.is_visible_prefix => {
                let before = op.window().map_or(chunk.start, |window| chunk.start.min(window - 1));
                u64::from(before + chunk.count)
            }
            Rows::Tokens | Rows::Ring(_) | Rows::Chunk => u64::from(chunk.count),
        }
    }

    /// The floating-point operations of an operation for one chunk.
    pub fn flops(&self, op: &Op, chunk: Chunk) -> u64 {
        op.flops(&self.sizes(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, PRESETS};
    use crate::step::{BatchShape, Strategy};

    #[test]
    fn a_step_costs_what_its_instances_cost() {
        let config = Config { sliding_window: 70, sliding_layers: vec![true, false, true, false], ..PRESETS[0].config.clone() };
        for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(64, 128)] {
            let program = Program::train(&config, BatchShape::packed(vec![130, 1, 369]), strategy);
            let mut sum = Cost::default();
            for instance in program.instances(0..program.instance_count()) {
                sum += program.cost(program.op(instance.block, instance.node), instance.chunk);
            }
            assert_eq!(program.step_cost(), sum, "{strategy:?}");
        }
    }
}
