//! The recall task, which needs the whole sequence: the first quarter binds keys to values, half is filler, and the last quarter asks for
//! the values of the keys.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::error::{Error, Result};
use crate::step::IGNORED_LABEL;

/// The recall task: `b₁ b₂ … filler … kᵢ kⱼ …`. A binding is one token that stands for a key with a value. The label of each key in the
/// last quarter is its value; all other labels are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecallTask {
    /// The number of bound keys. The bindings repeat over the first quarter of the sequence.
    pub bindings: u32,
    /// Leaves out the bindings, so that the answers are unknowable: a control.
    pub cut: bool,
}

impl Default for RecallTask {
    fn default() -> Self {
        RecallTask { bindings: 4, cut: false }
    }
}

/// The number of different keys.
const KEYS: u32 = 4;
/// The number of different values: a random answer is right once in that many.
const VALUES: u32 = 4;
const FIRST_KEY: u32 = b'A' as u32;
const FIRST_VALUE: u32 = b'1' as u32;
/// The first token id of bindings, beyond ASCII, so that no character has two meanings.
const FIRST_BINDING: u32 = 128;
const FILLER: &[u8] = b" .,;:-";

impl RecallTask {
    /// Checks that a sequence of that length can hold the task.
    ///
    /// # Errors
    /// [`Error::Data`] with the required length.
    pub(super) fn check(&self, seq_len: u32) -> Result<()> {
        if self.bindings == 0 || self.bindings > KEYS {
            return Err(Error::Data(format!("the recall task takes 1 to {KEYS} bindings")));
        }
        if seq_len < 4 * self.bindings {
            let (bindings, least) = (self.bindings, 4 * self.bindings);
            return Err(Error::Data(format!(
                "the recall task with {bindings} bindings needs sequences of {least} tokens or more; this one has {seq_len}"
            )));
        }
        Ok(())
    }

    /// Tokens of a sequence that remain if the bindings are cut off.
    pub(super) fn visible(&self, seq_len: u32) -> u32 {
        if self.cut { seq_len - seq_len / 4 } else { seq_len }
    }

    /// The token ids and labels of a sequence. Only answers have labels.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
        let mut below = |n: u32| (rng.next_u64() % u64::from(n)) as u32;
        let keys = shuffled(KEYS, &mut below);
        let bound: Vec<[u32; 2]> = keys.iter().take(self.bindings as usize).map(|&key| [key, below(VALUES)]).collect();
        let quarter = seq_len / 4;
        let binding = |i: u32| {
            let [key, value] = bound[(i % self.bindings) as usize];
            FIRST_BINDING + key * VALUES + value
        };
        let mut ids: Vec<u32> = (0..quarter).map(binding).collect();
        ids.extend((0..seq_len - 2 * quarter).map(|_| u32::from(FILLER[below(FILLER.len() as u32) as usize])));
        let mut labels = vec![IGNORED_LABEL; ids.len()];
        for _ in 0..quarter {
            let [key, value] = bound[below(self.bindings) as usize];
            ids.push(FIRST_KEY + key);
            labels.push(FIRST_VALUE + value);
        }
        let hidden = (seq_len - self.visible(seq_len)) as usize;
        (ids.split_off(hidden), labels.split_off(hidden))
    }
}

/// The numbers below `n` in random order (Fisher-Yates).
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
    fn every_answer_is_bound_to_its_key_at_the_start() {
        let task = RecallTask::default();
        let (ids, labels) = task.sequence(100, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!((ids.len(), labels.len()), (100, 100));
        let answers: Vec<usize> = (0..100).filter(|&i| labels[i] != IGNORED_LABEL).collect();
        assert_eq!(answers, (75..100).collect::<Vec<_>>());
        for at in answers {
            let binding = FIRST_BINDING + (ids[at] - FIRST_KEY) * VALUES + labels[at] - FIRST_VALUE;
            assert!(ids[..25].contains(&binding));
        }
    }

    #[test]
    fn a_cut_sequence_has_the_questions_and_not_the_bindings() {
        let task = RecallTask { cut: true, ..RecallTask::default() };
        let (ids, labels) = task.sequence(100, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!((ids.len(), labels.len()), (75, 75));
        assert!(ids[..50].iter().all(|&id| FILLER.contains(&(id as u8))));
        assert!(task.check(15).is_err());
    }
}
