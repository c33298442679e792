//! The attention map of a head, from the queries and keys of a partial forward pass.

use std::ops::Range;

use super::Trainer;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::step::ops::Attention;
use crate::step::{Batch, Chunk, IGNORED_LABEL, Op, OpInstance, Pass, Rows, TensorId};

/// The attention map of one head, for the last queries of a sequence within one chunk.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AttentionPattern {
    /// The layer.
    pub layer: u32,
    /// The query head.
    pub head: u32,
    /// The query tokens, as positions in the batch.
    pub queries: Vec<u32>,
    /// The key tokens: the sequence, as positions in the batch.
    pub keys: Range<u32>,
    /// The attention weights (queries×keys); 0 where the key is not visible.
    pub weights: Vec<Vec<f32>>,
    /// The token ids of the sequence.
    pub input_ids: Vec<u32>,
}

/// The most queries of a map: the last ones of the sequence.
const MOST_QUERIES: u32 = 64;

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
        let (number, [q, k]) = self.attention_instance(layer, sequence.end - 1);
        let start = self.executor().program().span(Pass::Forward..=Pass::Forward).start;
        self.executor().load_batch(&batch);
        self.run_instances(start..number + 1).await?;
        let chunk = self.executor().program().instance(number).chunk;
        let [q_rows, k_rows] = [q, k].map(|id| self.executor().program().tensor(id).rows);
        let window = config.window(layer);
        let scores = Scores { q: self.read(q).await?, k: self.read(k).await?, config, chunk, q_rows, k_rows, head, window };
        Ok(pattern(&batch, sequence, layer, &scores))
    }

    /// The instance of the layer's attention in the forward pass, for the chunk with that token: its number, and its queries and keys.
    fn attention_instance(&self, layer: u32, token: u32) -> (u64, [TensorId; 2]) {
        let program = self.executor().program();
        let of_layer = program.pass(Pass::Forward).filter(|(_, block)| block.layer == Some(layer));
        let found = of_layer.flat_map(|(index, block)| block.nodes.iter().enumerate().map(move |(node, n)| (index, block, node, &n.op)));
        let mut found = found.filter_map(|(index, block, node, op)| match *op {
            Op::Attention(Attention { q, k, .. }) => Some((index, block, node, [q, k])),
            _ => None,
        });
        let (block, chunk_order, node, tensors) =
            found.next().map(|(i, b, n, t)| (i, b.chunk_order, n, t)).expect("every layer has attention");
        let chunk = chunk_order.chunks(program.tokens()).find(|chunk| token < chunk.end()).expect("the chunks have all tokens");
        (program.instance_number(OpInstance { block, chunk, node }), tensors)
    }

    async fn read(&self, id: TensorId) -> Result<Vec<f32>> {
        Ok(bytemuck::pod_collect_to_vec(&self.executor().read(id).await?))
    }
}

/// The last sequence with labels. Sequences without labels only fill the batch.
fn last_learned(batch: &Batch) -> Range<u32> {
    let starts = batch.shape.segment_starts();
    let learned = batch.labels.iter().rposition(|&label| label != IGNORED_LABEL);
    let start = starts[learned.unwrap_or(starts.len() - 1)];
    start..starts.partition_point(|&other| other <= start) as u32
}

fn pattern(batch: &Batch, sequence: Range<u32>, layer: u32, scores: &Scores) -> AttentionPattern {
    let first = scores.chunk.start.max(sequence.start).max(sequence.end.saturating_sub(MOST_QUERIES));
    let queries: Vec<u32> = (first..sequence.end).collect();
    AttentionPattern {
        layer,
        head: scores.head,
        weights: queries.iter().map(|&query| scores.row(query, sequence.clone())).collect(),
        input_ids: batch.input_ids[sequence.start as usize..sequence.end as usize].to_vec(),
        keys: sequence,
        queries,
    }
}

/// Queries and keys of a layer, in the device's layout.
struct Scores {
    q: Vec<f32>,
    k: Vec<f32>,
    config: Config,
    chunk: Chunk,
    q_rows: Rows,
    k_rows: Rows,
    head: u32,
    window: Option<u32>,
}

impl Scores {
    /// The attention weights of a query: the softmax of its scores, 0 for keys after it or before its window.
    fn row(&self, query: u32, keys: Range<u32>) -> Vec<f32> {
        let config = &self.config;
        let part = |values: &[f32], row: u32, heads: u32, head: u32| {
            let cols = config.head_dim.next_multiple_of(4);
            let at = ((row * heads + head) * cols) as usize;
            values[at..at + cols as usize].to_vec()
        };
        let q = part(&self.q, self.q_rows.row_of(query, self.chunk), config.num_attention_heads, self.head);
        let score = |key: u32| {
            let k =
                part(&self.k, self.k_rows.row_of(key, self.chunk), config.num_key_value_heads, self.head / config.num_key_value_groups());
            q.iter().zip(k).map(|(q, k)| q * k).sum::<f32>() * config.attention_scale() as f32
        };
        let sees = |key: u32| key <= query && self.window.is_none_or(|window| query - key < window);
        let scores: Vec<f32> = keys.map(|key| if sees(key) { score(key) } else { f32::NEG_INFINITY }).collect();
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        scores.iter().map(|score| (score - most).exp() / total).collect()
    }
}
