//! The recall task, which needs the whole sequence: the first quarter binds keys to values, half is filler, and the last quarter asks for
//! the values of the keys.

use rand_chacha::ChaCha8Rng;

use super::example::Example;
use super::random::{below, between, shuffled};
use crate::error::{Error, Result};
use crate::step::IGNORED_LABEL;
use crate::text::Prompt;

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
    /// The share of answers that a guess gets right.
    pub(super) const CHANCE: f64 = 1.0 / VALUES as f64;

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

    /// A sequence. Only answers have labels; their distance is that of the last binding of the key.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Example {
        let keys = shuffled(rng, KEYS);
        let bound: Vec<[u32; 2]> = keys.iter().take(self.bindings as usize).map(|&key| [key, below(rng, VALUES)]).collect();
        let quarter = seq_len / 4;
        let binding = |i: u32| {
            let [key, value] = bound[(i % self.bindings) as usize];
            FIRST_BINDING + key * VALUES + value
        };
        let mut ids: Vec<u32> = (0..quarter).map(binding).collect();
        ids.extend((0..seq_len - 2 * quarter).map(|_| u32::from(FILLER[below(rng, FILLER.len() as u32) as usize])));
        let mut labels = vec![IGNORED_LABEL; ids.len()];
        let questions = ids.len() as u32;
        let mut distances = Vec::new();
        for at in questions..questions + quarter {
            let asked = below(rng, self.bindings);
            let [key, value] = bound[asked as usize];
            let last_binding = quarter - 1 - (quarter - 1 - asked) % self.bindings;
            distances.push(at - last_binding);
            ids.push(FIRST_KEY + key);
            labels.push(FIRST_VALUE + value);
        }
        let hidden = seq_len - self.visible(seq_len);
        let distance = |at: u32| distances[(at + hidden - questions) as usize];
        Example::answered(ids.split_off(hidden as usize), labels.split_off(hidden as usize), distance)
    }

    /// A sequence of a random length up to its first key, and the value of that.
    pub(super) fn prompt(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Prompt {
        let tokens = between(rng, 4 * self.bindings, seq_len);
        let example = self.sequence(tokens, rng);
        let first = example.answers[0].positions.start;
        example.prompt(first, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_answer_is_bound_to_its_key_at_the_start() {
        let task = RecallTask::default();
        let Example { ids, labels, answers } = task.sequence(100, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!((ids.len(), labels.len()), (100, 100));
        assert!((0..75).all(|at| labels[at] == IGNORED_LABEL));
        assert_eq!(
            answers.iter().map(|answer| answer.positions.clone()).collect::<Vec<_>>(),
            (75..100).map(|at| at..at + 1).collect::<Vec<_>>()
        );
        for (at, answer) in (75..).zip(answers) {
            let binding = FIRST_BINDING + (ids[at] - FIRST_KEY) * VALUES + labels[at] - FIRST_VALUE;
            let last = ids[..25].iter().rposition(|&id| id == binding).unwrap();
            assert_eq!(answer.distance as usize, at - last);
        }
    }

    #[test]
    fn a_cut_sequence_has_the_questions_and_not_the_bindings() {
        let task = RecallTask { cut: true, ..RecallTask::default() };
        let Example { ids, labels, answers } = task.sequence(100, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!((ids.len(), labels.len()), (75, 75));
        // The bindings would lie that far back.
        assert!(answers.iter().zip(50..).all(|(answer, at)| answer.positions == (at..at + 1) && answer.distance > at));
        assert!(ids[..50].iter().all(|&id| FILLER.contains(&(id as u8))));
        assert!(task.check(15).is_err());
    }
}
