//! The attention map of a head, from the queries and keys of a partial forward pass.

use std::ops::Range;

use super::Trainer;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::step::ops::Attention;
use crate::step::{Batch, Chunk, IGNORED_LABEL, Op, OpInstance, Pass, Rows, TensorId};

/// The attention map of one head for a sequence. Of a long sequence it has every `stride`-th query, and one weight for every `stride` keys.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AttentionPattern {
    /// The layer.
    pub layer: u32,
    /// The query head.
    pub head: u32,
    /// The query tokens, as positions in the batch. The last one of the sequence is always among them.
    pub queries: Vec<u32>,
    /// The key tokens: the sequence, as positions in the batch.
    pub keys: Range<u32>,
    /// From one query to the next, and keys for which a weight stands.
    pub stride: u32,
    /// The attention weights (queries×⌈keys / stride⌉), each the largest of `stride` keys; 0 where no key is visible.
    pub weights: Vec<Vec<f32>>,
    /// The token ids of the sequence.
    pub input_ids: Vec<u32>,
}

/// The most queries of a map.
const MOST_QUERIES: u32 = 512;

impl Trainer {
    /// The attention map of a head, for a sequence of the first validation batch.
    ///
    /// # Errors
    /// [`Error::Setting`] if the model has no such head; [`Error::DeviceLost`] or another error of the device.
    ///
    /// # Panics
    /// Within a step, whose state it would overwrite.
    pub async fn attention(&mut self, layer: u32, head: u32) -> Result<AttentionPattern> {
        let config = self.executor().program().config().clone();
        if layer >= config.num_hidden_layers || head >= config.num_attention_heads {
            let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
            return Err(Error::Setting(format!(
                "there is no head {head} in layer {layer}: the model has {layers} layers of {heads} heads, counted from 0"
            )));
        }
        let batch = self.validation_batch().clone();
        let sequence = last_learned(&batch);
        let (stride, queries) = queries_of(&sequence);
        let window = config.window(layer);
        let mut next = self.executor().program().span(Pass::Forward..=Pass::Forward).start;
        self.load_in_full(&batch);
        let mut weights = Vec::with_capacity(queries.len());
        for (number, chunk, [q, k]) in self.attention_instances(layer, &sequence) {
            self.run_instances(next..number + 1).await?;
            next = number + 1;
            let [q_rows, k_rows] = [q, k].map(|id| self.executor().program().tensor(id).rows);
            let scores = Scores { q: self.read(q).await?, k: self.read(k).await?, config: &config, chunk, q_rows, k_rows, head, window };
            let in_chunk = queries.iter().filter(|&&query| (chunk.start..chunk.end()).contains(&query));
            weights.extend(in_chunk.map(|&query| largest(&scores.row(query, sequence.clone()), stride)));
        }
        let input_ids = batch.input_ids[sequence.start as usize..sequence.end as usize].to_vec();
        Ok(AttentionPattern { layer, head, queries, keys: sequence, stride, weights, input_ids })
    }

    /// The instances of the layer's attention in the forward pass for the chunks of a sequence, in order: their numbers, and the tensors of
    /// their queries and keys.
    fn attention_instances(&self, layer: u32, sequence: &Range<u32>) -> Vec<(u64, Chunk, [TensorId; 2])> {
        let program = self.executor().program();
        let of_layer = program.pass(Pass::Forward).filter(|(_, block)| block.layers.contains(&layer));
        let found = of_layer.flat_map(|(index, block)| block.nodes.iter().enumerate().map(move |(node, n)| (index, block, node, &n.op)));
        let mut found = found.filter_map(|(index, block, node, op)| match *op {
            Op::Attention(Attention { q, k, .. }) => Some((index, block.chunk_order, node, [q, k])),
            _ => None,
        });
        let (block, chunk_order, node, tensors) = found.next().expect("every layer has attention");
        let chunks = chunk_order.chunks(program.tokens()).filter(|chunk| chunk.start < sequence.end && chunk.end() > sequence.start);
        chunks.map(|chunk| (program.instance_number(OpInstance { block, chunk, node }), chunk, tensors)).collect()
    }

    async fn read(&self, id: TensorId) -> Result<Vec<f32>> {
        let bytes = self.executor().read(id).await?;
        Ok(self.executor().program().tensor(id).decode(&bytes))
    }
}

/// The last sequence with labels. Sequences without labels only fill the batch.
fn last_learned(batch: &Batch) -> Range<u32> {
    let starts = batch.shape.segment_starts();
    let learned = batch.labels.iter().rposition(|&label| label != IGNORED_LABEL);
    let start = starts[learned.unwrap_or(starts.len() - 1)];
    start..starts.partition_point(|&other| other <= start) as u32
}

/// The queries of a map, and the distance between them. The last one is the sequence's last.
fn queries_of(sequence: &Range<u32>) -> (u32, Vec<u32>) {
    let stride = (sequence.end - sequence.start).div_ceil(MOST_QUERIES).max(1);
    let mut queries: Vec<u32> = sequence.clone().rev().step_by(stride as usize).collect();
    queries.reverse();
    (stride, queries)
}

/// The largest of every `stride` weights.
fn largest(row: &[f32], stride: u32) -> Vec<f32> {
    row.chunks(stride as usize).map(|weights| weights.iter().copied().fold(0.0, f32::max)).collect()
}

/// Queries and keys of a layer, in the device's layout.
struct Scores<'a> {
    q: Vec<f32>,
    k: Vec<f32>,
    config: &'a Config,
    chunk: Chunk,
    q_rows: Rows,
    k_rows: Rows,
    head: u32,
    window: Option<u32>,
}

impl Scores<'_> {
    /// The attention weights of a query: the softmax of its scores, 0 for keys after it or before its window.
    fn row(&self, query: u32, keys: Range<u32>) -> Vec<f32> {
        let config = self.config;
        let cols = config.head_dim.next_multiple_of(4) as usize;
        let part = |row: u32, heads: u32, head: u32| {
            let at = (row * heads + head) as usize * cols;
            at..at + cols
        };
        let q = &self.q[part(self.q_rows.row_of(query, self.chunk), config.num_attention_heads, self.head)];
        let (key_heads, key_head) = (config.num_key_value_heads, self.head / config.num_key_value_groups());
        let score = |key: u32| {
            let k = &self.k[part(self.k_rows.row_of(key, self.chunk), key_heads, key_head)];
            q.iter().zip(k).map(|(q, k)| q * k).sum::<f32>() * config.attention_scale() as f32
        };
        let sees = |key: u32| key <= query && self.window.is_none_or(|window| query - key < window);
        let scores: Vec<f32> = keys.map(|key| if sees(key) { score(key) } else { f32::NEG_INFINITY }).collect();
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        scores.iter().map(|score| (score - most).exp() / total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sequence_has_queries_from_its_start_to_its_end() {
        assert_eq!(queries_of(&(10..522)), (1, (10..522).collect()));
        let (stride, queries) = queries_of(&(100..1700));
        assert!(stride == 4 && queries.len() == 400 && queries[0] < 104 && queries.last() == Some(&1699));
        assert_eq!(largest(&[0.1, 0.4, 0.2, 0.0, 0.3], 2), [0.4, 0.2, 0.3]);
    }
}
