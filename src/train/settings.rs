//! The settings of a training run.

use super::dataset::Dataset;
use super::roll_outs::RollOutSettings;
use crate::error::{Error, Result};
use crate::step::{BatchShape, Objective, Strategy};

/// The settings of a training run.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// T: tokens of a sequence.
    pub seq_len: u32,
    /// Sequences per batch; pairs of them, if the objective compares these.
    pub batch: u32,
    /// Batches per step: gradient accumulation.
    pub accumulate: u32,
    /// The strategy of the step.
    pub strategy: Strategy,
    /// What a step minimises.
    #[serde(default)]
    pub objective: Objective,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// The final learning rate.
    pub min_learning_rate: f64,
    /// Steps of linear warmup.
    pub warmup: u64,
    /// Steps of the run.
    pub steps: u64,
    /// The coefficient of decoupled weight decay, which applies to matrices.
    pub weight_decay: f64,
    /// The largest global gradient norm; larger gradients are scaled down to it.
    pub max_grad_norm: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's ε, added to the denominator.
    #[serde(alias = "epsilon")]
    pub adam_epsilon: f64,
    /// The seed of the initial weights, of the order of the data, and of what is sampled.
    pub seed: u64,
    /// How completions are sampled and used, for an objective that learns from rewards.
    #[serde(default)]
    pub roll_outs: Option<RollOutSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seq_len: 512,
            batch: 1,
            accumulate: 1,
            strategy: Strategy::default(),
            objective: Objective::default(),
            learning_rate: 3e-3,
            min_learning_rate: 3e-4,
            warmup: 20,
            steps: 1000,
            weight_decay: 0.1,
            max_grad_norm: 1.0,
            beta1: 0.9,
            beta2: 0.95,
            adam_epsilon: 1e-8,
            seed: 0,
            roll_outs: None,
        }
    }
}

impl Settings {
    /// The shape of the batches of a run on a dataset.
    pub fn batch_shape(&self, dataset: &Dataset) -> BatchShape {
        let completion = if let Objective::Grpo(settings) = self.objective { settings.max_completion_length } else { 0 };
        BatchShape::uniform(self.batch * if dataset.has_pairs() { 2 } else { 1 }, dataset.seq_len() + completion)
    }

    /// Sequences of a step.
    pub fn sequences(&self) -> u32 {
        self.batch * self.accumulate
    }

    /// Checks how completions are sampled, if the objective learns from rewards.
    fn validate_roll_outs(&self) -> Result<()> {
        match (self.objective, &self.roll_outs) {
            (Objective::Grpo(grpo), Some(roll_outs)) => {
                roll_outs.validate()?;
                assert_eq!(
                    grpo.has_old_log_probs,
                    roll_outs.num_iterations > 1,
                    "several steps on the same completions ask the first of them"
                );
                let (sequences, group) = (self.sequences(), grpo.num_generations);
                if group < 2 {
                    return Err(Error::Setting(format!("the number of generations is {group}; a group needs 2 or more, to be compared")));
                }
                if !sequences.is_multiple_of(group) {
                    return Err(Error::Setting(format!(
                        "a step has {sequences} completions (batch {} × {} accumulated), which are no whole groups of {group}; make that a multiple of the number of generations",
                        self.batch, self.accumulate
                    )));
                }
                Ok(())
            }
            (Objective::Grpo(_), None) => Err(Error::Setting("nothing says how completions are rewarded; give a reward".to_owned())),
            (_, Some(_)) => Err(Error::Setting("only the objective grpo samples completions; choose that".to_owned())),
            (_, None) => Ok(()),
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] with the invalid setting.
    pub fn validate(&self) -> Result<()> {
        self.objective.validate()?;
        self.validate_roll_outs()?;
        let whole = [("sequence length", self.seq_len), ("batch", self.batch), ("number of accumulated batches", self.accumulate)];
        if let Some((name, _)) = whole.into_iter().find(|&(_, value)| value == 0) {
            return Err(Error::Setting(format!("the {name} must be 1 or more")));
        }
        if u64::from(self.seq_len) * u64::from(self.batch) >= 1 << 31 {
            return Err(Error::Setting(format!(
                "{} sequences of {} tokens are 2^31 tokens or more; use fewer or shorter ones",
                self.batch, self.seq_len
            )));
        }
        let positive =
            [("learning rate", self.learning_rate), ("clipping norm", self.max_grad_norm), ("epsilon of AdamW", self.adam_epsilon)];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_an_older_run_are_read() {
        let settings = Settings { adam_epsilon: 1e-7, ..Settings::default() };
        let json = serde_json::to_string(&settings).unwrap();
        let older = json.replace("adam_epsilon", "epsilon");
        assert_ne!(older, json);
        assert_eq!(serde_json::from_str::<Settings>(&older).unwrap(), settings);
    }
}
