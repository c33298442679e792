//! Steps that learn from rewards: what the trainer does for them, besides what it does for every step.

use super::{Trainer, Validation};
use crate::error::Result;
use crate::step::{Batch, GrpoSettings, Pass};
use crate::train::round::{Round, Sampler};
use crate::train::sample_batches::sample_batches;

/// Held-out prompts of a validation.
const HELD_OUT_PROMPTS: u32 = 32;

impl Trainer {
    /// Does the step after so many learn from answers that are given, instead of completions that are sampled?
    pub(super) fn learns_from_answers(&self, steps_before: u64) -> bool {
        self.settings.roll_outs.as_ref().is_some_and(|roll_outs| steps_before < roll_outs.sft_steps)
    }

    /// The batches of the step after so many, of completions that are sampled before the first of some steps.
    pub(super) async fn sampled_batches(&mut self, grpo: GrpoSettings, steps_before: u64) -> Result<Vec<Batch>> {
        let roll_outs = self.settings.roll_outs.as_ref().expect("they were checked");
        let (is_masked, of_answers) = (roll_outs.mask_truncated_completions, self.learns_from_answers(steps_before));
        let number = match of_answers {
            true => steps_before,
            false => (steps_before - roll_outs.sft_steps) / u64::from(roll_outs.num_iterations),
        };
        let is_there = self.round.as_ref().is_some_and(|round| round.number == number && round.rewards.is_some() != of_answers);
        if !is_there {
            let mut round = self.new_round(grpo, number, of_answers).await?;
            if grpo.has_old_log_probs {
                for batch in sample_batches(&self.settings, &grpo, &self.executor.program().batch, &round, is_masked) {
                    round.old_log_probs.push(self.own_log_probs(&batch).await?);
                }
            }
            self.round = Some(round);
        }
        let round = self.round.as_ref().expect("it was just sampled");
        let mut batches = sample_batches(&self.settings, &grpo, &self.executor.program().batch, round, is_masked);
        if grpo.has_reference() {
            for batch in &mut batches {
                batch.ref_log_probs = match (of_answers, &mut self.reference) {
                    // Answers are learned as they are, whatever the reference says of them.
                    (true, _) => self.own_log_probs(batch).await?,
                    (false, Some(reference)) => reference.log_probs(batch).await?,
                    (false, None) => panic!("nobody has given the trainer a reference"),
                };
            }
        }
        Ok(batches)
    }

    async fn new_round(&mut self, grpo: GrpoSettings, number: u64, of_answers: bool) -> Result<Round> {
        let (prompts, rewards) = self.dataset.prompts().zip(self.rewards.as_ref()).expect("they were checked");
        let sampler = Sampler { settings: &self.settings, grpo, prompts, rewards, watch: self.watch.as_ref() };
        if of_answers { sampler.answers(number) } else { sampler.round(&mut self.executor, number).await }
    }

    /// What the model as it is finds of the labels of a batch (N).
    async fn own_log_probs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let empty = vec![0.0; batch.input_ids.len()];
        let batch = Batch { old_log_probs: empty.clone(), ref_log_probs: empty, ..batch.clone() };
        self.executor.load_batch(&batch);
        self.executor.run(Pass::Clear..=Pass::Loss).await?;
        Ok(bytemuck::pod_collect_to_vec(&self.executor.read(self.executor.program().bindings.log_probs).await?))
    }

    /// Notes what each token of the completions of a batch weighs in the gradient, if somebody looks on.
    pub(super) async fn note_weights(&mut self, batch: usize) -> Result<()> {
        let (Some(round), Some(_)) = (&mut self.round, &self.watch) else { return Ok(()) };
        let weights = self.executor.read(self.executor.program().bindings.loss_weight).await?;
        let per_batch = self.settings.batch as usize;
        round.set_weights(batch * per_batch, per_batch, &bytemuck::pod_collect_to_vec::<u8, f32>(&weights));
        Ok(())
    }

    /// The part of a batch in the mean cross-entropy of a step on answers, each of whose labels has the same weight.
    pub(super) async fn answers_loss(&self) -> Result<f64> {
        let log_probs: Vec<f32> = bytemuck::pod_collect_to_vec(&self.executor.read(self.executor.program().bindings.log_probs).await?);
        let labels: usize = self.round.iter().flat_map(|round| &round.completions).map(|completion| completion.ids.len()).sum();
        Ok(-log_probs.into_iter().map(f64::from).sum::<f64>() / labels as f64)
    }

    /// The mean reward of the likeliest completions of held-out prompts, and as the loss the same negated.
    pub(super) async fn validate_samples(&mut self, grpo: GrpoSettings) -> Result<Validation> {
        let (prompts, rewards) = self.dataset.prompts().zip(self.rewards.as_ref()).expect("they were checked");
        let sampler = Sampler { settings: &self.settings, grpo, prompts, rewards, watch: None };
        let rewards = sampler.held_out(&mut self.executor, HELD_OUT_PROMPTS).await?;
        let mean = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        Ok(Validation { loss: -mean, accuracy: Some(mean), accuracy_by_distance: Vec::new(), by_position: Vec::new() })
    }

    /// Does the next step learn from the completions of the last one?
    pub(super) fn goes_on_with_round(&self) -> bool {
        let Some(roll_outs) = &self.settings.roll_outs else { return false };
        self.step.checked_sub(roll_outs.sft_steps).is_some_and(|steps| !steps.is_multiple_of(roll_outs.num_iterations.into()))
    }
}
