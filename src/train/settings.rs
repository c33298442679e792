//! The settings of a run.

use super::dataset::Dataset;
use crate::error::{Error, Result};
use crate::step::{BatchShape, Strategy};

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// T: tokens of a sequence.
    pub seq_len: u32,
    /// Sequences of a batch.
    pub batch: u32,
    /// Batches whose gradients make one step.
    pub accumulate: u32,
    /// How the step walks the grid of layers × chunks.
    pub strategy: Strategy,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The learning rate at the end.
    pub min_learning_rate: f64,
    /// Steps over which the learning rate rises.
    pub warmup: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// The norm to which gradients are clipped.
    pub max_grad_norm: f64,
    /// The decay of the first moment.
    pub beta1: f64,
    /// The decay of the second moment.
    pub beta2: f64,
    /// What keeps AdamW's denominator away from zero.
    pub epsilon: f64,
    /// What the first weights and the order of the data are drawn from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seq_len: 512,
            batch: 1,
            accumulate: 1,
            strategy: Strategy::default(),
            learning_rate: 3e-3,
            min_learning_rate: 3e-4,
            warmup: 20,
            steps: 1000,
            weight_decay: 0.1,
            max_grad_norm: 1.0,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            seed: 0,
        }
    }
}

impl Settings {
    /// The batches of a run on a dataset.
    pub fn batch_shape(&self, dataset: &Dataset) -> BatchShape {
        BatchShape::uniform(self.batch, dataset.seq_len())
    }

    /// Do they make sense?
    ///
    /// # Errors
    /// [`Error::Setting`] names the one that does not.
    pub fn validate(&self) -> Result<()> {
        let whole = [("sequence length", self.seq_len), ("batch", self.batch), ("number of accumulated batches", self.accumulate)];
        if let Some((name, _)) = whole.into_iter().find(|&(_, value)| value == 0) {
            return Err(Error::Setting(format!("the {name} must be 1 or more")));
        }
        if u64::from(self.seq_len) * u64::from(self.batch) > 1 << 31 {
            return Err(Error::Setting(format!(
                "{} sequences of {} tokens are more than 2^31 tokens; use fewer or shorter ones",
                self.batch, self.seq_len
            )));
        }
        let positive = [("learning rate", self.learning_rate), ("clipping norm", self.max_grad_norm), ("epsilon", self.epsilon)];
        let not_negative = [("smallest learning rate", self.min_learning_rate), ("weight decay", self.weight_decay)];
        let wrong = positive
            .into_iter()
            .find(|&(_, v)| !(v.is_finite() && v > 0.0))
            .or_else(|| not_negative.into_iter().find(|&(_, v)| !(v.is_finite() && v >= 0.0)));
        match wrong {
            Some((name, value)) => Err(Error::Setting(format!("the {name} is {value}; it must be a positive number"))),
            None => Ok(()),
        }
    }
}
