//! The first group of completions of a step, piece by piece.

use super::pairs::{byte_pieces, whole};
use crate::step::Objective;
use crate::train::{Completion, Round};
use crate::web::charts::byte_text;
use crate::web::protocol::{CompletionView, GroupView, Run};

/// The first group of a round, or its first answer. Nothing of a run that learns from no completions.
pub fn view(run: &Run, round: &Round) -> Option<GroupView> {
    let Objective::Grpo(grpo) = run.settings.objective else { return None };
    let is_sampled = round.rewards.is_some();
    let count = if is_sampled { grpo.num_generations as usize } else { 1 };
    let prompt = byte_pieces(&round.completions.first()?.prompt).concat();
    Some(GroupView { prompt, is_sampled, completions: round.completions.iter().take(count).map(completion).collect() })
}

/// What is generated is made of bytes.
fn completion(completion: &Completion) -> CompletionView {
    let Completion { ids, weights, is_ended, reward, advantage, .. } = completion;
    let mut pieces = byte_pieces(ids);
    // The token that ends it is to be seen.
    if let (Some(piece), Some(&id)) = (pieces.last_mut().filter(|_| *is_ended), ids.last()) {
        *piece = byte_text(id);
    }
    // It has no weights before the step that learns from it is done.
    let weight = |place: usize| weights.get(place).copied().unwrap_or(0.0);
    let weights: Vec<f32> = (0..ids.len()).map(weight).collect();
    CompletionView {
        pieces: whole(pieces, &weights, |sum, weight| sum + weight),
        is_ended: *is_ended,
        reward: *reward,
        advantage: *advantage,
    }
}
