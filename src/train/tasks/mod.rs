//! Generated tasks whose answers lie some way back: what a sequence is good for can be seen to grow with its length.
//!
//! Token ids are bytes. Labels that are no answers are ignored.

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
    /// Keys bound to values at the start are asked for at the end.
    Recall(RecallTask),
    /// What came some way back is to be repeated.
    Copy(CopyTask),
    /// Letters are to be put in order, some way later.
    Sort(SortTask),
    /// A digit and the one that came some way before it are to be added.
    Sum(SumTask),
}

impl Task {
    /// Can a sequence of that length hold it?
    ///
    /// # Errors
    /// [`Error::Data`] says what would fit.
    pub(super) fn check(&self, seq_len: u32) -> Result<()> {
        match self {
            Task::Recall(task) => task.check(seq_len),
            Task::Copy(CopyTask { distance }) | Task::Sum(SumTask { distance }) => fits("", *distance, distance.saturating_add(1), seq_len),
            Task::Sort(task) => fits("sort ", task.distance, task.instance(), seq_len),
        }
    }

    /// Tokens of a sequence that are left, if its start is cut off.
    pub(super) fn visible(&self, seq_len: u32) -> u32 {
        match self {
            Task::Recall(task) => task.visible(seq_len),
            Task::Copy(_) | Task::Sort(_) | Task::Sum(_) => seq_len,
        }
    }

    /// Token ids, and labels of which only the answers count.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
        match self {
            Task::Recall(task) => task.sequence(seq_len, rng),
            Task::Copy(task) => task.sequence(seq_len, rng),
            Task::Sort(task) => task.sequence(seq_len, rng),
            Task::Sum(task) => task.sequence(seq_len, rng),
        }
    }
}

/// Is the sequence as long as the task needs?
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
