//! Evaluation: the loss of a model on data that it is not trained on, in all and by position.

use super::documents::Packed;
use crate::error::{Error, Result};
use crate::gpu::{Executor, Kernels};
use crate::model::{ModelSpec, WeightSource};
use crate::step::{Batch, BatchShape, IGNORED_LABEL, Limits, Pass, Plan, Program, Strategy};
use crate::text::Document;

/// The loss of a model on some data.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evaluation {
    /// The mean loss over all labels, in nats.
    pub loss: f64,
    /// e to the power of the loss.
    pub perplexity: f64,
    /// The number of labels.
    pub labels: u64,
    /// The same by the number of tokens that a label follows, in powers of two.
    pub by_position: Vec<LossAtPositions>,
}

/// The loss at some positions.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LossAtPositions {
    /// The fewest tokens that a label follows.
    pub from: u64,
    /// The most.
    pub to: u64,
    /// The mean loss over these labels, in nats.
    pub loss: f64,
    /// e to the power of the loss.
    pub perplexity: f64,
    /// The number of labels.
    pub labels: u64,
}

/// The data of an evaluation: documents, packed as for training, none of which is left out.
pub struct EvaluationData {
    packed: Packed,
    shape: BatchShape,
}

impl EvaluationData {
    /// Packs documents into batches of `sequences` × `seq_len` tokens. A document longer than a sequence is split.
    ///
    /// # Errors
    /// [`Error::Data`] if no token of them is a label.
    pub fn new(documents: &[Document], seq_len: u32, sequences: u32) -> Result<Self> {
        let packed = Packed::new(documents, seq_len, sequences);
        if packed.batches().len() == 0 {
            return Err(Error::Data("no token of the data counts in the loss; give a text of two tokens or more".to_owned()));
        }
        Ok(EvaluationData { packed, shape: BatchShape::uniform(sequences, seq_len) })
    }

    /// The number of batches.
    pub fn batches(&self) -> usize {
        self.packed.batches().len()
    }

    /// Plans the forward pass of a batch, chunk by chunk.
    ///
    /// # Errors
    /// [`Error::Data`] if the model knows fewer tokens; [`Error::BindingTooLarge`] if a tensor exceeds a binding.
    pub fn plan(&self, spec: &ModelSpec, limits: Limits) -> Result<Plan> {
        let (known, needed) = (spec.config.vocab_size, self.packed.vocab_size());
        if known < needed {
            return Err(Error::Data(format!(
                "the model knows {known} tokens, and the data needs {needed}; take the tokenizer of the model"
            )));
        }
        Plan::new(Program::evaluation(spec, self.shape.clone(), Strategy::default()), limits)
    }

    /// Evaluates a model. `kernels` are those of the plan. `progress` is told the number of batches that are done, and can stop it.
    ///
    /// # Errors
    /// Errors of the weight source, of `progress` and of the device.
    pub async fn evaluate(
        &self,
        kernels: Kernels,
        values: &impl WeightSource,
        progress: impl Fn(usize) -> Result<()>,
    ) -> Result<Evaluation> {
        let mut executor = Executor::new(kernels).await?;
        executor.load(values).await?;
        let mut sums = Sums::default();
        for (batch, done) in self.packed.batches().zip(0..) {
            progress(done)?;
            executor.load_batch(&batch);
            executor.run(Pass::Forward..=Pass::Loss).await?;
            let log_probs = executor.read(executor.program().bindings.log_probs).await?;
            sums.add(&batch, &bytemuck::pod_collect_to_vec::<u8, f32>(&log_probs));
        }
        Ok(sums.evaluation())
    }
}

/// Sums of losses and numbers of labels, by the logarithm of the position.
#[derive(Default)]
pub(super) struct Sums(Vec<(f64, u64)>);

impl Sums {
    /// Adds the labels of a batch, of which `log_probs` are the log-probabilities.
    pub fn add(&mut self, batch: &Batch, log_probs: &[f32]) {
        for ((place, start), (label, log_prob)) in (0u32..).zip(batch.shape.segment_starts()).zip(batch.labels.iter().zip(log_probs)) {
            if *label != IGNORED_LABEL {
                let tokens_before = place - start + 1;
                let bucket = tokens_before.ilog2() as usize;
                self.0.resize(self.0.len().max(bucket + 1), (0.0, 0));
                self.0[bucket].0 -= f64::from(*log_prob);
                self.0[bucket].1 += 1;
            }
        }
    }

    /// The losses by position.
    pub fn by_position(&self) -> Vec<LossAtPositions> {
        let at = |(bucket, &(sum, labels)): (usize, &(f64, u64))| {
            let loss = sum / labels as f64;
            LossAtPositions { from: 1 << bucket, to: (2 << bucket) - 1, loss, perplexity: loss.exp(), labels }
        };
        self.0.iter().enumerate().filter(|(_, (_, labels))| *labels > 0).map(at).collect()
    }

    fn evaluation(&self) -> Evaluation {
        let (sum, labels) = self.0.iter().fold((0.0, 0), |(sum, labels), (more, count)| (sum + more, labels + count));
        let loss = sum / labels as f64;
        Evaluation { loss, perplexity: loss.exp(), labels, by_position: self.by_position() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_summed_by_powers_of_two() {
        let batch = Batch::new(vec![(vec![1; 5], vec![2, 2, IGNORED_LABEL, 2, 2]), (vec![1; 2], vec![2, 2])]);
        let mut sums = Sums::default();
        sums.add(&batch, &[-1.0, -2.0, 0.0, -4.0, -5.0, -3.0, -6.0]);
        let found = sums.evaluation();
        assert_eq!((found.labels, found.loss), (6, 3.5));
        let by_position: Vec<(u64, u64, f64, u64)> = found.by_position.iter().map(|at| (at.from, at.to, at.loss, at.labels)).collect();
        assert_eq!(by_position, [(1, 1, 2.0, 2), (2, 3, 4.0, 2), (4, 7, 4.5, 2)]);
        assert!((found.perplexity - 3.5f64.exp()).abs() < 1e-12);
    }
}
