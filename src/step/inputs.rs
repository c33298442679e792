//! The host's inputs of a program: the tensors of a batch, and constants.

use super::batch::{Batch, BatchShape};
use super::program::{NextBindings, Program};
use super::tensor::{TOKEN_TILE, TensorId};
use crate::model::Rope;

impl Program {
    /// The contents of the batch's tensors, as little-endian bytes, to be written before the batch runs. The lengths of its sequences may
    /// differ from those that the program was planned for.
    ///
    /// # Panics
    /// If the batch does not have as many tokens as the program, or has a longer sequence.
    pub fn inputs(&self, batch: &Batch) -> Vec<(TensorId, Vec<u8>)> {
        let (found, planned) = (&batch.shape, &self.batch);
        assert!(
            found.tokens() == planned.tokens() && found.longest() <= planned.longest(),
            "a program for sequences of {:?} tokens runs as many tokens, in sequences no longer, and not {:?}",
            planned.lengths(),
            found.lengths()
        );
        let (order, start) = batch.tokens_by_id(self.config().vocab_size, self.config().pad_token_id);
        let bytes = |values: &[u32]| bytemuck::cast_slice(values).to_vec();
        let b = &self.bindings;
        let mut inputs = vec![
            (b.input_ids, bytes(&batch.input_ids)),
            (b.labels, bytes(&batch.labels)),
            (b.segment_start, bytes(&found.segment_starts())),
            (b.loss_weight, bytemuck::cast_slice(&batch.loss_weight).to_vec()),
            (b.token_order, bytes(&order)),
            (b.token_start, bytes(&start)),
        ];
        if let Some(pairs) = b.pairs {
            inputs.push((pairs.sequence_start, bytes(&sequence_starts(found, 2 * batch.pairs as usize, planned))));
            inputs.push((pairs.ref_log_probs, bytemuck::cast_slice(&batch.ref_log_probs).to_vec()));
        }
        if let Some(samples) = b.samples {
            let floats = |values: &[f32]| bytemuck::cast_slice(values).to_vec();
            inputs.push((samples.sequence_start, bytes(&sequence_starts(found, batch.advantages.len(), planned))));
            inputs.push((samples.advantages, floats(&batch.advantages)));
            inputs.extend(samples.old_log_probs.map(|id| (id, floats(&batch.old_log_probs))));
            inputs.extend(samples.ref_log_probs.map(|id| (id, floats(&batch.ref_log_probs))));
        }
        inputs
    }

    /// The same of the step's next batch, of which only the first layers run.
    ///
    /// # Panics
    /// If the batch does not have as many tokens as the program.
    pub fn next_inputs(&self, batch: &Batch) -> Vec<(TensorId, Vec<u8>)> {
        assert_eq!(batch.shape.tokens(), self.tokens(), "tokens of the next batch");
        let bytes = |values: &[u32]| bytemuck::cast_slice(values).to_vec();
        let inputs =
            |next: NextBindings| [(next.input_ids, bytes(&batch.input_ids)), (next.segment_start, bytes(&batch.shape.segment_starts()))];
        self.bindings.next.into_iter().flat_map(inputs).collect()
    }

    /// The contents of the constant tensors, as little-endian bytes, to be written once after allocation.
    pub fn constants(&self) -> Vec<(TensorId, Vec<u8>)> {
        let b = &self.bindings;
        let mut constants = Vec::new();
        let local = (b.local_rope_table != b.rope_table).then_some((b.local_rope_table, self.config().local_rope));
        for (table, rope) in [(b.rope_table, self.config().rope)].into_iter().chain(local) {
            constants.push((table, bytemuck::cast_slice(&self.cosines_and_sines(table, rope)).to_vec()));
        }
        constants
    }

    /// Cosines and sines of a rotary embedding for sequences of the planned length: a row of E/2 pairs for each of the positions 0 to 63, then
    /// for 0, 64, 128, … A position's angle is the sum of one angle of each group. So the table has only one row per 64 positions, and no
    /// shader takes the sine of a large angle, for which WGSL guarantees three digits only.
    fn cosines_and_sines(&self, table: TensorId, rope: Rope) -> Vec<f32> {
        let frequencies = self.config().frequencies(rope, self.batch.longest());
        let rows = self.tensor(table).row_count;
        // Of the two that are combined, one has the embedding's factor.
        let row_of = |row: u32| if row < TOKEN_TILE { (row, 1.0) } else { ((row - TOKEN_TILE) * TOKEN_TILE, rope.attention_factor()) };
        let row = |row: u32| {
            let (position, factor) = row_of(row);
            frequencies.iter().flat_map(move |frequency| {
                let (sin, cos) = (f64::from(position) * frequency).sin_cos();
                [(factor * cos) as f32, (factor * sin) as f32]
            })
        };
        (0..rows).flat_map(row).collect()
    }
}
/// The first token of each of the sequences that an objective compares, and the end of the last.
fn sequence_starts(found: &BatchShape, sequences: usize, planned: &BatchShape) -> Vec<u32> {
    assert_eq!(sequences, planned.lengths().len(), "sequences that are compared, and those that are planned for");
    let ends = found.lengths()[..sequences].iter().scan(0, |end, &length| {
        *end += length;
        Some(*end)
    });
    [0].into_iter().chain(ends).collect()
}
