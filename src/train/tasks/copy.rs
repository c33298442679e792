//! The copy task.

use rand_chacha::ChaCha8Rng;

use super::example::Example;
use super::random::{below, between};
use crate::step::IGNORED_LABEL;
use crate::text::Prompt;

/// The copy task: the label of every token is the letter `distance` tokens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CopyTask {
    /// The distance in tokens.
    pub distance: u32,
}

/// The number of different letters: a random answer is right once in that many.
const LETTERS: u32 = 8;

impl CopyTask {
    /// The share of answers that a guess gets right.
    pub(super) const CHANCE: f64 = 1.0 / LETTERS as f64;

    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Example {
        let ids: Vec<u32> = (0..seq_len).map(|_| u32::from(b'a') + below(rng, LETTERS)).collect();
        let unknown = std::iter::repeat_n(IGNORED_LABEL, self.distance.min(seq_len) as usize);
        let labels = unknown.chain(ids.iter().copied()).take(ids.len()).collect();
        Example::answered(ids, labels, |_| self.distance)
    }

    /// The letters of a sequence of a random length, and the last one's label.
    pub(super) fn prompt(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Prompt {
        let tokens = between(rng, self.distance + 1, seq_len);
        self.sequence(tokens, rng).prompt(tokens - 1, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn an_answer_is_the_letter_that_came_before() {
        let Example { ids, labels, answers } = CopyTask { distance: 7 }.sequence(50, &mut ChaCha8Rng::seed_from_u64(1));
        assert!(labels[..7].iter().all(|&label| label == IGNORED_LABEL));
        assert!((7..50).all(|at| labels[at] == ids[at - 7]));
        assert!(answers.len() == 43 && answers.iter().all(|answer| answer.distance == 7));
    }
}
