//! A task that can only be learned across the whole sequence: keys and their values at the start, filler, and at the end
//! the keys again, each to be answered by its value.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::error::{Error, Result};
use crate::step::IGNORED_LABEL;

/// The recall task: `k1 v1 k2 v2 … filler … kᵢ vᵢ kⱼ vⱼ …`, where only the values behind the last keys count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecallTask {
    /// Pairs of a key and a value; every one is asked for once.
    pub pairs: u32,
    /// Values to choose from: an answer by chance is right once in so many.
    pub values: u32,
    /// Leaves the pairs out of the sequence, so that the answers cannot be known.
    pub cut: bool,
}

impl Default for RecallTask {
    fn default() -> Self {
        RecallTask { pairs: 8, values: 8, cut: false }
    }
}

const FIRST_KEY: u32 = b'A' as u32;
const MAX_KEYS: u32 = 26;
const FIRST_VALUE: u32 = b'a' as u32;
const MAX_VALUES: u32 = 26;
const FILLER: &[u8] = b" .,;:-";

impl RecallTask {
    /// Can a sequence of that length hold it?
    ///
    /// # Errors
    /// [`Error::Data`] says what would fit.
    pub(super) fn check(&self, seq_len: u32) -> Result<()> {
        if self.pairs == 0 || self.pairs > MAX_KEYS || self.values < 2 || self.values > MAX_VALUES {
            return Err(Error::Data(format!("the recall task takes 1 to {MAX_KEYS} pairs and 2 to {MAX_VALUES} values")));
        }
        if seq_len < 4 * self.pairs {
            return Err(Error::Data(format!(
                "the recall task with {} pairs needs sequences of {} tokens or more; this one has {seq_len}",
                self.pairs,
                4 * self.pairs
            )));
        }
        Ok(())
    }

    /// Tokens of a sequence that are left, if the pairs are cut off.
    pub(super) fn visible(&self, seq_len: u32) -> u32 {
        if self.cut { seq_len - 2 * self.pairs } else { seq_len }
    }

    /// Token ids, and labels of which only the answers count.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
        let mut below = |n: u32| (rng.next_u64() % u64::from(n)) as u32;
        let keys = shuffled(MAX_KEYS, &mut below);
        let pairs: Vec<[u32; 2]> =
            keys.iter().take(self.pairs as usize).map(|key| [FIRST_KEY + key, FIRST_VALUE + below(self.values)]).collect();
        let asked = shuffled(self.pairs, &mut below);
        let filler = seq_len - 4 * self.pairs;

        let mut ids: Vec<u32> = pairs.concat();
        ids.extend((0..filler).map(|_| u32::from(FILLER[below(FILLER.len() as u32) as usize])));
        let mut labels = vec![IGNORED_LABEL; ids.len()];
        for pair in asked {
            let [key, value] = pairs[pair as usize];
            ids.extend([key, value]);
            labels.extend([value, IGNORED_LABEL]);
        }
        let hidden = (seq_len - self.visible(seq_len)) as usize;
        (ids.split_off(hidden), labels.split_off(hidden))
    }
}

/// The numbers below `n` in an order that is drawn (Fisher and Yates).
fn shuffled(n: u32, below: &mut impl FnMut(u32) -> u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    (1..n).rev().for_each(|i| order.swap(i as usize, below(i + 1) as usize));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_answer_stands_behind_its_key_at_the_start() {
        let task = RecallTask::default();
        let (ids, labels) = task.sequence(100, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!((ids.len(), labels.len()), (100, 100));
        let answers: Vec<usize> = (0..100).filter(|&i| labels[i] != IGNORED_LABEL).collect();
        assert_eq!(answers.len(), 8);
        for at in answers {
            let first = ids.iter().position(|&id| id == ids[at]).unwrap();
            assert!(first < 16 && at >= 84);
            assert_eq!(ids[first + 1], labels[at]);
        }
    }

    #[test]
    fn a_cut_sequence_has_the_questions_and_not_the_pairs() {
        let task = RecallTask { cut: true, ..RecallTask::default() };
        let (ids, labels) = task.sequence(100, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!((ids.len(), labels.len()), (84, 84));
        assert!(ids[..68].iter().all(|&id| FILLER.contains(&(id as u8))));
        assert!(task.check(31).is_err());
    }
}
