//! A sequence of a task.

use super::prompt::prompt;
use crate::step::IGNORED_LABEL;
use crate::text::Prompt;
use crate::train::accuracy::Answer;

/// A sequence of a task, and where its answers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids (T).
    pub ids: Vec<u32>,
    /// The token to predict at each position, or [`IGNORED_LABEL`] (T).
    pub labels: Vec<u32>,
    /// The answers, by ascending position.
    pub answers: Vec<Answer>,
}

impl Example {
    /// A sequence of which each label is an answer, at the distance of its position.
    pub(super) fn answered(ids: Vec<u32>, labels: Vec<u32>, distance: impl Fn(u32) -> u32) -> Self {
        let labelled = (0u32..).zip(&labels).filter(|(_, label)| **label != IGNORED_LABEL);
        let answers = labelled.map(|(at, _)| Answer { positions: at..at + 1, distance: distance(at) }).collect();
        Example { ids, labels, answers }
    }

    /// The prompt that ends at that position, and whose answer are the `labels` labels from there on.
    pub(super) fn prompt(mut self, at: u32, labels: u32) -> Prompt {
        self.ids.truncate(at as usize + 1);
        prompt(self.ids, &self.labels[at as usize..(at + labels) as usize])
    }
}
