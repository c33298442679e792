//! Generated tasks whose answers depend on tokens at a distance, so that they show the benefit of long sequences.
//!
//! Token ids are bytes. In stories every token has a label; in the other tasks only answers have.

mod copy;
mod example;
mod prompt;
mod random;
mod recall;
mod sort;
mod stories;
mod sum;

use rand_chacha::ChaCha8Rng;

pub use copy::CopyTask;
pub(super) use example::Example;
pub(super) use prompt::{END, text};
pub use recall::RecallTask;
pub use sort::SortTask;
pub use stories::{Language, PreferencesTask, StoriesTask};
pub use sum::SumTask;

use crate::error::{Error, Result};
use crate::text::Prompt;

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
    /// Stories: facts of a small world, and questions about them.
    Stories(StoriesTask),
}

impl Task {
    /// The names of all tasks, as the program's `--data` takes them.
    pub const NAMES: [&str; 7] = ["recall", "recall-cut", "copy", "sort", "sum", "stories", "stories-ko"];

    /// The task of a name. `distance` is that of the answers of `copy`, `sort` and `sum`, in tokens.
    pub fn named(name: &str, distance: u32) -> Option<Task> {
        Some(match name {
            "recall" => Task::Recall(RecallTask::default()),
            "recall-cut" => Task::Recall(RecallTask { cut: true, ..RecallTask::default() }),
            "copy" => Task::Copy(CopyTask { distance }),
            "sort" => Task::Sort(SortTask { distance }),
            "sum" => Task::Sum(SumTask { distance }),
            "stories" => Task::Stories(StoriesTask { language: Language::English }),
            "stories-ko" => Task::Stories(StoriesTask { language: Language::Korean }),
            _ => return None,
        })
    }

    /// Checks that a sequence of that length can hold the task.
    ///
    /// # Errors
    /// [`Error::Data`] with the required length.
    pub(super) fn check(&self, seq_len: u32) -> Result<()> {
        match self {
            Task::Recall(task) => task.check(seq_len),
            Task::Copy(CopyTask { distance }) | Task::Sum(SumTask { distance }) => fits("", *distance, distance.saturating_add(1), seq_len),
            Task::Sort(task) => fits("sort ", task.distance, task.instance(), seq_len),
            Task::Stories(task) => task.check(seq_len),
        }
    }

    /// Tokens of a sequence that remain if its start is cut off.
    pub(super) fn visible(&self, seq_len: u32) -> u32 {
        match self {
            Task::Recall(task) => task.visible(seq_len),
            Task::Copy(_) | Task::Sort(_) | Task::Sum(_) | Task::Stories(_) => seq_len,
        }
    }

    /// The largest share of answers that a model gets right which does not look at what they follow from: one in the number of values that
    /// are equally likely. `None` where this depends on the answer.
    pub fn chance(&self) -> Option<f64> {
        match self {
            Task::Recall(_) => Some(RecallTask::CHANCE),
            Task::Copy(_) => Some(CopyTask::CHANCE),
            // The letters that are already in order narrow down the next.
            Task::Sort(_) => None,
            Task::Sum(_) => Some(SumTask::CHANCE),
            Task::Stories(_) => Some(StoriesTask::CHANCE),
        }
    }

    /// The fewest sequences whose answers make an accuracy.
    pub(super) fn validation_sequences(&self) -> u32 {
        match self {
            Task::Recall(_) | Task::Copy(_) | Task::Sort(_) | Task::Sum(_) => 1,
            Task::Stories(_) => StoriesTask::VALIDATION_SEQUENCES,
        }
    }

    /// A sequence.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Example {
        match self {
            Task::Recall(task) => task.sequence(seq_len, rng),
            Task::Copy(task) => task.sequence(seq_len, rng),
            Task::Sort(task) => task.sequence(seq_len, rng),
            Task::Sum(task) => task.sequence(seq_len, rng),
            Task::Stories(task) => task.sequence(seq_len, rng),
        }
    }

    /// A prompt of at most `seq_len` tokens that ends where the model has to answer, with the answer: what a sequence has there as labels. A
    /// sequence of that length must be able to hold the task.
    pub(super) fn prompt(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Prompt {
        match self {
            Task::Recall(task) => task.prompt(seq_len, rng),
            Task::Copy(task) => task.prompt(seq_len, rng),
            Task::Sort(task) => task.prompt(rng),
            Task::Sum(task) => task.prompt(seq_len, rng),
            Task::Stories(task) => task.prompt(seq_len, rng),
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
        for name in Task::NAMES {
            let task = Task::named(name, 20).unwrap();
            task.check(151).unwrap();
            let Example { ids, labels, answers } = task.sequence(151, &mut ChaCha8Rng::seed_from_u64(7));
            let len = task.visible(151) as usize;
            assert_eq!((ids.len(), labels.len()), (len, len), "{task:?}");
            assert!(ids.iter().all(|&id| id < 256) && labels.iter().all(|&label| label < 256 || label == IGNORED_LABEL));
            assert!(!answers.is_empty() && answers.is_sorted_by_key(|answer| answer.positions.start), "{task:?}");
            let mut labels = answers.iter().flat_map(|answer| &labels[answer.positions.start as usize..answer.positions.end as usize]);
            assert!(labels.all(|&label| label != IGNORED_LABEL) && answers.iter().all(|answer| answer.distance > 0), "{task:?}");
            assert!(task.chance().is_none_or(|chance| (0.1..0.3).contains(&chance)));
            assert_eq!(ids, task.sequence(151, &mut ChaCha8Rng::seed_from_u64(7)).ids);
        }
    }

    #[test]
    fn every_task_asks_with_prompts_that_fit() {
        for name in Task::NAMES {
            let task = Task::named(name, 20).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let prompts: Vec<Prompt> = (0..40).map(|_| task.prompt(151, &mut rng)).collect();
            let lengths: std::collections::BTreeSet<usize> = prompts.iter().map(|prompt| prompt.ids.len()).collect();
            assert!(lengths.iter().all(|&length| length <= 151) && (name == "sort") == (lengths.len() == 1), "{name}: {lengths:?}");
            for Prompt { ids, columns, answer } in &prompts {
                let answer = answer.as_deref().unwrap();
                assert!(ids.iter().all(|&id| id < 256) && answer.len() > 1 && answer.last() == Some(&END), "{name}");
                assert!(!answer[..answer.len() - 1].contains(&END));
                assert_eq!([&columns["prompt"], &columns["answer"]], [&text(ids), &text(&answer[..answer.len() - 1])]);
            }
            assert!(prompts[1..].iter().any(|prompt| prompt.answer != prompts[0].answer), "{name}");
        }
    }

    #[test]
    fn what_a_prompt_asks_for_follows_from_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut of = |name: &str| {
            let Prompt { ids, answer, .. } = Task::named(name, 9).unwrap().prompt(140, &mut rng);
            (ids, answer.unwrap())
        };
        for _ in 0..20 {
            let (ids, answer) = of("copy");
            assert_eq!(answer[0], ids[ids.len() - 10]);
            let (ids, answer) = of("sum");
            assert_eq!(answer[0] + u32::from(b'0'), ids[ids.len() - 10] + ids[ids.len() - 1]);
            let (mut ids, answer) = of("sort");
            assert_eq!((ids.len(), ids.last()), (18, Some(&u32::from(b'>'))));
            ids.truncate(8);
            ids.sort_unstable();
            assert_eq!(answer[..8], ids);
            let (ids, answer) = of("recall");
            let binding = 128 + (ids[ids.len() - 1] - u32::from(b'A')) * 4 + answer[0] - u32::from(b'1');
            assert!(ids.contains(&binding));
            assert!(of("recall-cut").0.iter().all(|&id| id < 128));
            let (ids, answer) = of("stories");
            let (story, answer) = (text(&ids), text(&answer));
            assert!(story.ends_with('?') && story.contains(answer.trim()), "{story}{answer}");
        }
    }

    #[test]
    fn only_tasks_have_names() {
        assert_eq!(Task::named("sum", 9), Some(Task::Sum(SumTask { distance: 9 })));
        assert_eq!(Task::named("summer", 9), None);
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
