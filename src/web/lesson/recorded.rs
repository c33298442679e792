//! What the lesson shows where there is no GPU: a run on a real one, recorded by `examples/record_lesson.rs`.

use serde::{Deserialize, Serialize};

use crate::train::VerifyReport;

/// A recorded run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Where it ran.
    pub adapter: String,
    /// The gradients of every strategy, compared.
    pub proof: VerifyReport,
    /// Tokens of the steps that were timed.
    pub timed_tokens: u32,
    /// Seconds of a step under every strategy, in the order of [`crate::step::StrategyKind::ALL`].
    pub times: [f64; 3],
    /// Recall, learned at several distances, the shortest first.
    pub recall: Vec<RecallRun>,
}

/// A model that learns to recall facts across its sequence, and one that does not see them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecallRun {
    /// Tokens of the sequence; the answers lie from half to all of it back.
    pub tokens: u32,
    /// The share of right answers after some steps, with the whole sequence.
    pub whole: Vec<(u64, f64)>,
    /// The same where the facts are cut off.
    pub cut: Vec<(u64, f64)>,
    /// Where the last question looks at the end: the attention weights of the sequence in equal parts, each the largest of its part.
    pub attention: Vec<f32>,
}

impl RecallRun {
    /// The first step after which nearly every answer is right.
    pub fn learned_after(&self) -> Option<u64> {
        self.whole.iter().find(|(_, accuracy)| *accuracy > 0.95).map(|(step, _)| *step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_run_shows_what_the_lesson_says() {
        let recorded: Recorded = serde_json::from_str(&std::fs::read_to_string("www/lesson/recorded.json").unwrap()).unwrap();
        assert!(recorded.proof.same_bits && recorded.proof.runs.len() >= 4 && !recorded.adapter.is_empty());
        assert!(recorded.times.iter().all(|seconds| *seconds > 0.0));
        assert!(recorded.recall.len() >= 3 && recorded.recall.windows(2).all(|pair| pair[0].tokens < pair[1].tokens));
        for run in &recorded.recall {
            assert!(run.learned_after().is_some() && run.cut.iter().all(|(_, accuracy)| *accuracy < 0.4), "{run:?}");
            // The facts stand in the first quarter.
            let most = run.attention.iter().copied().fold(0.0, f32::max);
            assert!(run.attention[..run.attention.len() / 4].contains(&most));
        }
    }
}
