//! The objectives: what a step minimises, as a function of the log-probabilities of its labels.

mod dpo;
mod grpo;

pub use dpo::{DpoLossType, DpoSettings};
pub use grpo::{GrpoLossType, GrpoSettings, ImportanceSamplingLevel, SampleMean};

use super::sampling::RollOutShape;

/// What a step minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The mean cross-entropy over labels: supervised fine-tuning.
    #[default]
    CrossEntropy,
    /// Direct preference optimisation: sequences `2p` and `2p + 1` of a batch are the chosen and the rejected one of pair `p`.
    Dpo(DpoSettings),
    /// Group relative policy optimisation: each sequence of a batch is a prompt and a completion with an advantage.
    Grpo(GrpoSettings),
}

impl Objective {
    /// Sequences that belong together: a pair has two.
    pub fn sequences(&self) -> u32 {
        match self {
            Objective::CrossEntropy | Objective::Grpo(_) => 1,
            Objective::Dpo(_) => 2,
        }
    }

    /// Does it compare the model with a reference?
    pub fn has_reference(&self) -> bool {
        match self {
            Objective::CrossEntropy => false,
            Objective::Dpo(_) => true,
            Objective::Grpo(settings) => settings.has_reference(),
        }
    }

    /// What a training step on sequences of at most so many tokens samples, if it samples.
    pub fn roll_out(&self, longest: u32) -> Option<RollOutShape> {
        if let Objective::Grpo(settings) = self { settings.roll_out(longest) } else { None }
    }

    /// What logits are divided by.
    pub fn temperature(&self) -> f64 {
        if let Objective::Grpo(settings) = self { settings.temperature } else { 1.0 }
    }
}
