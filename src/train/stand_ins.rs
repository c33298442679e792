//! A batch for those who look at a step and not at what it learns: verifications, comparisons and measurements.

use super::dataset::Dataset;
use super::documents::filled_up;
use super::prompts::Prompts;
use crate::step::{Batch, GrpoSettings, IGNORED_LABEL, Objective};

/// The batch with that number that a step of the objective would have, of so many sequences, or pairs of them. Nobody has sampled completions:
/// of an objective that learns from these, the tokens of the prompt, again and again, stand in for them, with advantages of both signs.
pub fn batch_of_objective(dataset: &Dataset, objective: Objective, seed: u64, number: u64, sequences: u32) -> Batch {
    match (objective, dataset.prompts()) {
        (Objective::Grpo(grpo), Some(prompts)) => stand_in(prompts, &grpo, seed, number, sequences),
        _ => dataset.batch(seed, number, sequences),
    }
}

fn stand_in(prompts: &Prompts, grpo: &GrpoSettings, seed: u64, number: u64, sequences: u32) -> Batch {
    let longest = prompts.longest() + grpo.max_completion_length;
    let mut advantages = Vec::new();
    let mut sequence = |(place, prompt): (u32, &[u32])| {
        // Some end early.
        let length = (grpo.max_completion_length - place % 3 * (grpo.max_completion_length / 4)).max(1) as usize;
        let ids: Vec<u32> = prompt.iter().chain(prompt.iter().cycle().take(length)).copied().collect();
        let labels = (1..ids.len()).map(|i| if i < prompt.len() { IGNORED_LABEL } else { ids[i] }).collect();
        advantages.push(if place.is_multiple_of(2) { 1.0 } else { -0.75 });
        (ids[..ids.len() - 1].to_vec(), labels)
    };
    let drawn = prompts.draw(seed, number, sequences);
    let packed = (0..).zip(&drawn).map(|(place, drawn)| sequence((place, &drawn.prompt.ids))).collect();
    let batch = Batch::new(filled_up(packed, longest as usize, sequences as usize));
    batch.in_samples(grpo.mean(), advantages, Vec::new(), Vec::new())
}
