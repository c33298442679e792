//! The sum task.

use rand_chacha::ChaCha8Rng;

use super::example::Example;
use super::random::{below, between};
use crate::step::IGNORED_LABEL;
use crate::text::Prompt;

/// The sum task: the label of every token is the sum of its digit and the digit `distance` tokens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SumTask {
    /// The distance in tokens.
    pub distance: u32,
}

/// The number of different digits: so few that a sum is also a digit. With the last digit of larger sums as the label, either addend alone
/// would carry no information, and a small model would not start to learn.
const DIGITS: u32 = 5;
const ZERO: u32 = b'0' as u32;

impl SumTask {
    /// The share of answers that a guess gets right which sees one of the two digits.
    pub(super) const CHANCE: f64 = 1.0 / DIGITS as f64;

    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Example {
        let digits: Vec<u32> = (0..seq_len).map(|_| below(rng, DIGITS)).collect();
        let distance = self.distance as usize;
        let answer = |at: usize| at.checked_sub(distance).map_or(IGNORED_LABEL, |back| ZERO + digits[at] + digits[back]);
        let labels = (0..digits.len()).map(answer).collect();
        Example::answered(digits.iter().map(|digit| ZERO + digit).collect(), labels, |_| self.distance)
    }

    /// The digits of a sequence of a random length, and the last one's label.
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
    fn an_answer_is_the_sum_of_two_digits() {
        let Example { ids, labels, .. } = SumTask { distance: 7 }.sequence(50, &mut ChaCha8Rng::seed_from_u64(1));
        let digit = |id: u32| char::from_u32(id).unwrap().to_digit(10).unwrap();
        assert!(labels[..7].iter().all(|&label| label == IGNORED_LABEL));
        assert!((7..50).all(|at| digit(labels[at]) == digit(ids[at]) + digit(ids[at - 7])));
    }
}
