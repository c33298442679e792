//! The sort task.

use rand_chacha::ChaCha8Rng;

use super::example::Example;
use super::random::below;
use crate::step::IGNORED_LABEL;
use crate::text::Prompt;

/// The sort task: `dacb … >abcd`. The labels after the mark are the letters in order; each letter is visible before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SortTask {
    /// Tokens between the letters and the mark.
    pub distance: u32,
}

/// Letters per instance of the task.
const LETTERS: u32 = 8;
/// The number of different letters.
const KINDS: u32 = 8;
const FILLER: u32 = b'.' as u32;
const MARK: u32 = b'>' as u32;

impl SortTask {
    /// Tokens of an instance of the task: letters, filler, mark, and the sorted letters but the last, which is only a label.
    pub(super) fn instance(&self) -> u32 {
        self.distance.saturating_add(2 * LETTERS)
    }

    /// As many instances of the task as fit, then filler. The distance of an answer is that of the last of the letters, all of which it needs.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Example {
        let (mut ids, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..seq_len / self.instance() {
            let letters: Vec<u32> = (0..LETTERS).map(|_| u32::from(b'a') + below(rng, KINDS)).collect();
            let mut sorted = letters.clone();
            sorted.sort_unstable();
            ids.extend(letters);
            ids.extend((0..self.distance).map(|_| FILLER));
            labels.resize(ids.len(), IGNORED_LABEL);
            ids.push(MARK);
            ids.extend(&sorted[..sorted.len() - 1]);
            labels.extend(sorted);
        }
        ids.resize(seq_len as usize, FILLER);
        labels.resize(seq_len as usize, IGNORED_LABEL);
        Example::answered(ids, labels, |at| at % self.instance() - (LETTERS - 1))
    }

    /// The letters, the filler and the mark of an instance, and the letters in order.
    pub(super) fn prompt(&self, rng: &mut ChaCha8Rng) -> Prompt {
        self.sequence(self.instance(), rng).prompt(LETTERS + self.distance, LETTERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn the_answers_are_the_letters_in_order() {
        let task = SortTask { distance: 5 };
        let Example { ids, labels, answers } = task.sequence(50, &mut ChaCha8Rng::seed_from_u64(1));
        for start in [0, 21] {
            assert_eq!(ids[start + 13], MARK);
            let mut letters = ids[start..start + 8].to_vec();
            letters.sort_unstable();
            assert_eq!(labels[start + 13..start + 21], letters);
            assert_eq!(ids[start + 14..start + 21], letters[..7]);
            assert!(labels[start..start + 13].iter().all(|&label| label == IGNORED_LABEL));
        }
        // From the mark to the last letter, and from the last answer.
        assert_eq!([answers[0].distance, answers[7].distance, answers[15].distance], [6, 13, 13]);
        assert!(ids[42..].iter().all(|&id| id == FILLER));
    }
}
