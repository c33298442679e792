//! Generated tasks whose answers depend on tokens at a distance, so that they show the benefit of long sequences.
//!
//! Token ids are bytes. Only answers have labels; the others are ignored.

mod below;
mod copy;
mod recall;
mod sort;
mod sum;

use rand_chacha::ChaCha8Rng;

pub use copy::CopyTask;
pub use recall::RecallTask;
pub use sort::SortTask;
pub use sum::SumTask;

use crate::error::{Error, Result};

/// A generated task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Task {
    /// Recall: bindings of keys to values at the start, questions at the end.
    Recall(RecallTask),
    /// Copy: repeat the letter at a distance.
    Copy(CopyTask),
    /// Sort: repeat letters in order, at a distance.
    Sort(SortTask),
    /// Sum: add the digit at a distance.
    Sum(SumTask),
}

impl Task {
    /// Checks that a sequence of that length can hold the task.
    ///
    /// # Errors
    /// [`Error::Data`] with the required length.
    pub(super) fn check(&self, seq_len: u32) -> Result<()> {
        match self {
            Task::Recall(task) => task.check(seq_len),
            Task::Copy(CopyTask { distance }) | Task::Sum(SumTask { distance }) => fits("", *distance, distance.saturating_add(1), seq_len),
            Task::Sort(task) => fits("sort ", task.distance, task.instance(), seq_len),
        }
    }

    /// Tokens of a sequence that remain if its start is cut off.
    pub(super) fn visible(&self, seq_len: u32) -> u32 {
        match self {
            Task::Recall(task) => task.visible(seq_len),
            Task::Copy(_) | Task::Sort(_) | Task::Sum(_) => seq_len,
        }
    }

    /// The token ids and labels of a sequence. Only answers have labels.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
        match self {
            Task::Recall(task) => task.sequence(seq_len, rng),
            Task::Copy(task) => task.sequence(seq_len, rng),
            Task::Sort(task) => task.sequence(seq_len, rng),
            Task::Sum(task) => task.sequence(seq_len, rng),
        }
    }
}

/// Checks the distance and the sequence length of a task.
fn fits(task: &str, distance: u32, least: u32, seq_len: u32) -> Result<()> {
    if distance == 0 {
        return Err(Error::Data(format!("the {task}task's distance must be 1 or more")));
    }
    if seq_len < least {
        return Err(Error::Data(format!(
            "the {task}task with a distance of {distance} needs sequences of {least} tokens or more; this one has {seq_len}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::IGNORED_LABEL;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn every_task_fills_its_sequence_and_has_answers() {
        let tasks = [Task::Recall(RecallTask::default()), Task::Copy(CopyTask { distance: 20 })];
        let more = [Task::Sort(SortTask { distance: 20 }), Task::Sum(SumTask { distance: 20 })];
        for task in tasks.into_iter().chain(more) {
            task.check(101).unwrap();
            let (ids, labels) = task.sequence(101, &mut ChaCha8Rng::seed_from_u64(7));
            assert_eq!((ids.len(), labels.len()), (101, 101), "{task:?}");
            assert!(ids.iter().all(|&id| id < 256) && labels.iter().all(|&label| label < 256 || label == IGNORED_LABEL));
            assert!(labels.iter().any(|&label| label != IGNORED_LABEL), "{task:?}");
            let (again, _) = task.sequence(101, &mut ChaCha8Rng::seed_from_u64(7));
            assert_eq!(ids, again);
        }
    }

    #[test]
    fn a_sequence_that_is_too_short_says_how_long_it_must_be() {
        let sentence = |task: Task, seq_len| task.check(seq_len).unwrap_err().to_string();
        assert!(sentence(Task::Copy(CopyTask { distance: 20 }), 20).contains("21 tokens"));
        assert!(sentence(Task::Sort(SortTask { distance: 20 }), 30).contains("36 tokens"));
        assert!(sentence(Task::Sum(SumTask { distance: 0 }), 30).contains("1 or more"));
        assert!(Task::Sum(SumTask { distance: 20 }).check(21).is_ok());
    }
}
