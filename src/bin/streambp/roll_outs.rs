//! Options of roll-outs.

use clap::Args;
use streambp::error::Result;
use streambp::step::{GrpoSettings, Objective};
use streambp::train::{RewardSettings, RollOutSettings, ScaleRewards};

use crate::options::{named, refuse_given};

/// Completions of a prompt, unless another number is given.
const NUM_GENERATIONS: u32 = 8;

/// The option of how many completions a group has, with TRL's name and default.
#[derive(Args, Clone, Copy)]
pub struct GroupOptions {
    /// Completions that are sampled of each prompt, to be compared with each other (for grpo) [default: 8]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1 << 16))]
    pub num_generations: Option<u32>,
}

impl GroupOptions {
    /// The objective of a step that samples what it learns from, if it learns from samples.
    ///
    /// # Errors
    /// If the objective samples nothing, and the option is given.
    pub fn sampling(&self, objective: Objective) -> Result<Objective> {
        match objective {
            Objective::Grpo(settings) => {
                Ok(Objective::Grpo(GrpoSettings { num_generations: self.num_generations.unwrap_or(NUM_GENERATIONS), ..settings }))
            }
            other => refuse_given("grpo", &[("--num-generations", self.num_generations.is_some())]).map(|()| other),
        }
    }
}

/// Options of how completions are sampled and used, with TRL's names and defaults where it has them.
#[derive(Args, Clone)]
pub struct RollOutOptions {
    #[command(flatten)]
    pub group: GroupOptions,
    /// Steps on the same completions before new ones are sampled (for grpo) [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    num_iterations: Option<u32>,
    /// What advantages are divided by: the standard deviation of the rewards of the group, or of the batch, or none (for grpo) [default:
    /// group]
    #[arg(long)]
    scale_rewards: Option<String>,
    /// Let nothing count of a completion that reached the longest length without ending (for grpo)
    #[arg(long)]
    mask_truncated_completions: bool,
    /// Sample only from that many most likely tokens; 0 for all (for grpo) [default: 0]
    #[arg(long)]
    top_k: Option<u32>,
    /// Sample only from the fewest most likely tokens whose probabilities add up to that; 1 for all (for grpo) [default: 1]
    #[arg(long)]
    top_p: Option<f64>,
    /// Text that ends a completion, beside the tokens that do; may be given several times (for grpo)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Steps at the start that learn from the rows' answers, so that there is something to reward (for grpo) [default: 0]
    #[arg(long, value_name = "STEPS")]
    sft_steps: Option<u64>,
    /// Learning rate of those steps (for grpo) [default: --lr]
    #[arg(long, value_name = "RATE", requires = "sft_steps")]
    sft_lr: Option<f64>,
}

impl RollOutOptions {
    /// Refuses them for an objective that samples nothing.
    ///
    /// # Errors
    /// With the first option that is given.
    pub fn refuse(&self) -> Result<()> {
        let given = [
            ("--num-iterations", self.num_iterations.is_some()),
            ("--scale-rewards", self.scale_rewards.is_some()),
            ("--mask-truncated-completions", self.mask_truncated_completions),
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--stop", !self.stop.is_empty()),
            ("--sft-steps", self.sft_steps.is_some()),
            ("--sft-lr", self.sft_lr.is_some()),
        ];
        refuse_given("grpo", &given)
    }

    /// The settings of a run with these rewards.
    ///
    /// # Errors
    /// If a name is none of those that there are.
    pub fn settings(&self, rewards: Vec<RewardSettings>) -> Result<RollOutSettings> {
        let default = RollOutSettings::default();
        let (scale, scales) = (self.scale_rewards.as_deref(), ScaleRewards::ALL);
        Ok(RollOutSettings {
            num_iterations: self.num_iterations.unwrap_or(default.num_iterations),
            scale_rewards: named("--scale-rewards", scale, default.scale_rewards, scales, ScaleRewards::name)?,
            mask_truncated_completions: self.mask_truncated_completions,
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            rewards,
            sft_steps: self.sft_steps.unwrap_or(default.sft_steps),
            sft_learning_rate: self.sft_lr,
            stop: self.stop.clone(),
        })
    }
}
