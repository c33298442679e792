//! How completions are sampled and used: the settings of a run that learns from rewards, beside those of its objective.

use super::generate::Sampling;
use super::objectives::ScaleRewards;
use super::rewards::RewardSettings;
use crate::error::{Error, Result};

/// The settings of roll-outs, with TRL's names and defaults where it has them.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RollOutSettings {
    /// Steps on the same completions before new ones are sampled.
    pub num_iterations: u32,
    /// What advantages are divided by.
    pub scale_rewards: ScaleRewards,
    /// Does nothing count of a completion that reached the longest length without ending?
    pub mask_truncated_completions: bool,
    /// The number of likeliest tokens that are sampled from; 0 for all.
    pub top_k: u32,
    /// The share of probability that the likeliest tokens, which are sampled from, have together; 1 for all.
    pub top_p: f64,
    /// What a completion is worth.
    pub rewards: Vec<RewardSettings>,
    /// Steps at the start that learn from the rows' answers instead, so that there is something to reward.
    pub sft_steps: u64,
    /// The learning rate of these steps, which need a larger one; `None` for that of the run.
    pub sft_learning_rate: Option<f64>,
    /// Texts that end a completion, beside the tokens that do.
    pub stop: Vec<String>,
}

impl Default for RollOutSettings {
    fn default() -> Self {
        RollOutSettings {
            num_iterations: 1,
            scale_rewards: ScaleRewards::default(),
            mask_truncated_completions: false,
            top_k: 0,
            top_p: 1.0,
            rewards: Vec::new(),
            sft_steps: 0,
            sft_learning_rate: None,
            stop: Vec::new(),
        }
    }
}

impl RollOutSettings {
    /// How completions are sampled at a temperature.
    pub(super) fn sampling(&self, temperature: f64) -> Sampling {
        Sampling { temperature, top_k: self.top_k, top_p: self.top_p }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] with the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        if self.num_iterations == 0 {
            return Err(Error::Setting("the number of iterations must be 1 or more".to_owned()));
        }
        self.sampling(1.0).validate()?;
        if let Some(rate) = self.sft_learning_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return Err(Error::Setting(format!("the learning rate of the first steps is {rate}; it must be a positive number")));
        }
        if self.rewards.is_empty() {
            return Err(Error::Setting("nothing says what a completion is worth; give a reward".to_owned()));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::Setting("a text that ends completions is empty; leave it out".to_owned()));
        }
        self.rewards.iter().try_for_each(RewardSettings::validate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::RewardKind;

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let good =
            RollOutSettings { rewards: vec![RewardSettings { kind: RewardKind::Answer, weight: 1.0 }], ..RollOutSettings::default() };
        assert!(good.validate().is_ok());
        for (wrong, said) in [
            (RollOutSettings { num_iterations: 0, ..good.clone() }, "number of iterations"),
            (RollOutSettings { top_p: 0.0, ..good.clone() }, "top p is 0"),
            (RollOutSettings { top_p: f64::NAN, ..good.clone() }, "top p is NaN"),
            (RollOutSettings { sft_learning_rate: Some(0.0), ..good.clone() }, "learning rate of the first steps is 0"),
            (RollOutSettings { rewards: Vec::new(), ..good.clone() }, "give a reward"),
            (RollOutSettings { stop: vec![String::new()], ..good.clone() }, "is empty"),
            (
                RollOutSettings { rewards: vec![RewardSettings { kind: RewardKind::Answer, weight: f64::INFINITY }], ..good.clone() },
                "weight",
            ),
        ] {
            assert!(wrong.validate().unwrap_err().to_string().contains(said), "{said}");
        }
        let bytes = postcard::to_allocvec(&good).unwrap();
        assert_eq!(postcard::from_bytes::<RollOutSettings>(&bytes).unwrap(), good);
    }
}
