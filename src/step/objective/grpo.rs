//! Group relative policy optimisation: the loss of a token.

use crate::step::sampling::RollOutShape;

/// The settings of group relative policy optimisation, with TRL's names and defaults. Source: Shao et al. 2024.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GrpoSettings {
    /// β: the weight of the divergence from the reference; without it there is no reference.
    pub beta: f64,
    /// ε: how far below 1 the ratio of probabilities counts.
    pub epsilon: f64,
    /// How far above 1 it counts.
    pub epsilon_high: f64,
    /// What the loss is a mean over.
    pub loss_type: GrpoLossType,
    /// What has a ratio of probabilities.
    pub importance_sampling_level: ImportanceSamplingLevel,
    /// What logits are divided by, as when the completions were sampled. Positive.
    pub temperature: f64,
    /// The longest completion in tokens, which [`GrpoLossType::DrGrpo`] divides by.
    pub max_completion_length: u32,
    /// Is the divergence multiplied by the ratio of probabilities, which makes the gradient of the former unbiased?
    #[serde(default)]
    pub use_bias_correction_kl: bool,
    /// Are there log-probabilities of the model that sampled the completions? Otherwise that is the model itself.
    #[serde(default)]
    pub has_old_log_probs: bool,
    /// G: completions that a training step samples of a prompt; 0 if they are given.
    #[serde(default)]
    pub num_generations: u32,
}

impl Default for GrpoSettings {
    fn default() -> Self {
        GrpoSettings {
            beta: 0.0,
            epsilon: 0.2,
            epsilon_high: 0.2,
            loss_type: GrpoLossType::Dapo,
            importance_sampling_level: ImportanceSamplingLevel::Token,
            temperature: 1.0,
            max_completion_length: 256,
            use_bias_correction_kl: false,
            has_old_log_probs: false,
            num_generations: 0,
        }
    }
}

/// What the loss is a mean over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrpoLossType {
    /// All labels of the step. Source: Yu et al. 2025.
    Dapo,
    /// The labels of each sequence, then the sequences.
    Grpo,
    /// The labels of each batch, then the batches of the step.
    Bnpo,
    /// Sequences of the longest length. Source: Liu et al. 2025.
    DrGrpo,
}

impl GrpoLossType {
    /// All types.
    pub const ALL: [GrpoLossType; 4] = [GrpoLossType::Dapo, GrpoLossType::Grpo, GrpoLossType::Bnpo, GrpoLossType::DrGrpo];

    /// The type of that name.
    pub fn named(name: &str) -> Option<GrpoLossType> {
        Self::ALL.into_iter().find(|loss_type| loss_type.name() == name)
    }

    /// TRL's name.
    pub fn name(self) -> &'static str {
        match self {
            GrpoLossType::Dapo => "dapo",
            GrpoLossType::Grpo => "grpo",
            GrpoLossType::Bnpo => "bnpo",
            GrpoLossType::DrGrpo => "dr_grpo",
        }
    }
}

/// What has a ratio of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportanceSamplingLevel {
    /// Each token.
    Token,
    /// A sequence: the geometric mean over its labels. Source: Zheng et al. 2025.
    Sequence,
}

impl ImportanceSamplingLevel {
    /// All levels.
    pub const ALL: [ImportanceSamplingLevel; 2] = [ImportanceSamplingLevel::Token, ImportanceSamplingLevel::Sequence];

    /// TRL's name.
    pub fn name(self) -> &'static str {
        match self {
            ImportanceSamplingLevel::Token => "token",
            ImportanceSamplingLevel::Sequence => "sequence",
        }
    }
}

/// The mean that a loss is, for one of the batches of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleMean {
    /// What it is a mean over.
    pub loss_type: GrpoLossType,
    /// The longest completion in tokens, which [`GrpoLossType::DrGrpo`] divides by.
    pub longest: u32,
    /// Batches of the step.
    pub batches: u32,
    /// Labels of all of them, over which [`GrpoLossType::Dapo`] is the mean. `None` if there is no other batch.
    pub labels: Option<u64>,
}

impl GrpoSettings {
    /// The mean of a step on a single batch.
    pub fn mean(&self) -> SampleMean {
        SampleMean { loss_type: self.loss_type, longest: self.max_completion_length, batches: 1, labels: None }
    }

    /// What a training step on sequences of at most so many tokens samples, if it samples.
    pub fn roll_out(&self, longest: u32) -> Option<RollOutShape> {
        let completion = self.max_completion_length.min(longest.saturating_sub(1)).max(1);
        let prompt = longest.saturating_sub(completion).max(1);
        // Groups that are too large for one go are sampled in parts, of which none is much smaller.
        let parts = self.num_generations.div_ceil(RollOutShape::MOST_ROWS);
        (parts > 0).then(|| RollOutShape { prompt, rows: self.num_generations.div_ceil(parts), completion })
    }

    /// Is there a reference?
    pub fn has_reference(&self) -> bool {
        self.beta != 0.0
    }

    /// The loss of a token by the logarithm of the ratio ρ and the advantage, `−min(ρA, clip(ρ)·A)`, and its slope in that logarithm.
    pub fn policy_loss(&self, log_ratio: f64, advantage: f64) -> (f64, f64) {
        let ratio = log_ratio.exp();
        let clipped = ratio.clamp(1.0 - self.epsilon, 1.0 + self.epsilon_high);
        match ratio * advantage <= clipped * advantage {
            true => (-ratio * advantage, -ratio * advantage),
            false => (-clipped * advantage, 0.0),
        }
    }

    /// The divergence of a token from the reference, `e^d − d − 1` with d = log-probability by the reference less that by the model, and its
    /// slope in the latter.
    pub fn divergence(reference_less_model: f64) -> (f64, f64) {
        (reference_less_model.exp_m1() - reference_less_model, -reference_less_model.exp_m1())
    }

    /// Is a ratio clipped: because it is too low, and because it is too high?
    pub fn is_clipped(&self, log_ratio: f64, advantage: f64) -> [bool; 2] {
        let ratio = log_ratio.exp();
        [ratio < 1.0 - self.epsilon && advantage < 0.0, ratio > 1.0 + self.epsilon_high && advantage > 0.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_losses() {
        let settings = GrpoSettings { epsilon: 0.2, epsilon_high: 0.3, ..GrpoSettings::default() };
        let slope = |loss: &dyn Fn(f64) -> f64, at: f64| (loss(at + 1e-5) - loss(at - 1e-5)) / 2e-5;
        for log_ratio in [-2.0, -0.3, -0.1, 0.0, 0.1, 0.4, 2.0] {
            for advantage in [-1.5, 0.0, 0.7] {
                let (_, found) = settings.policy_loss(log_ratio, advantage);
                let expected = slope(&|at| settings.policy_loss(at, advantage).0, log_ratio);
                assert!((found - expected).abs() < 1e-8, "{log_ratio}, {advantage}: {found}, {expected}");
                let is_flat = settings.is_clipped(log_ratio, advantage).contains(&true);
                assert!(advantage == 0.0 || is_flat == (found == 0.0), "{log_ratio}, {advantage}");
            }
            // Its slope in the log-probability by the model has the other sign.
            let (_, found) = GrpoSettings::divergence(log_ratio);
            assert!((found + slope(&|at| GrpoSettings::divergence(at).0, log_ratio)).abs() < 1e-8);
        }
    }

    #[test]
    fn a_token_that_is_its_own_reference_does_not_diverge() {
        assert_eq!(GrpoSettings::divergence(0.0), (0.0, 0.0));
        assert!(GrpoSettings::divergence(1e-9).0 >= 0.0);
    }
}
