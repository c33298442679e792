//! The accuracy of answers, by how far back lies what they follow from.

use std::ops::Range;

/// An answer in a sequence or a batch: labels that are right or wrong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The positions of its labels.
    pub positions: Range<u32>,
    /// Tokens from what it follows from to its first position.
    pub distance: u32,
}

impl Answer {
    /// The answer in a batch whose tokens before its sequence are `tokens`.
    pub(super) fn moved_by(self, tokens: u32) -> Self {
        Answer { positions: self.positions.start + tokens..self.positions.end + tokens, ..self }
    }
}

/// The accuracy of the answers at some distances.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AccuracyAtDistance {
    /// The shortest distance, in tokens.
    pub from: u64,
    /// The longest.
    pub to: u64,
    /// The number of answers.
    pub answers: u64,
    /// How many of them are right.
    pub right: u64,
}

/// Numbers of answers and of right ones, by the logarithm of the distance.
#[derive(Default)]
pub(super) struct Counts(Vec<[u64; 2]>);

impl Counts {
    /// Adds answers of a batch, of whose labels `log_probs` are the log-probabilities (N). An answer is right if each of its labels is given
    /// more than even odds: then the greedy continuation is the answer.
    pub fn add(&mut self, answers: &[Answer], log_probs: &[f32]) {
        for Answer { positions, distance } in answers {
            let bucket = distance.ilog2() as usize;
            self.0.resize(self.0.len().max(bucket + 1), [0; 2]);
            let labels = &log_probs[positions.start as usize..positions.end as usize];
            let is_right = labels.iter().all(|log_prob| log_prob.exp() > 0.5);
            self.0[bucket][0] += 1;
            self.0[bucket][1] += u64::from(is_right);
        }
    }

    /// The share of right answers. `None` if there are no answers.
    pub fn accuracy(&self) -> Option<f64> {
        let [answers, right] = self.0.iter().fold([0; 2], |[answers, right], [more, more_right]| [answers + more, right + more_right]);
        (answers > 0).then(|| right as f64 / answers as f64)
    }

    /// The accuracy in powers of two of the distance.
    pub fn by_distance(&self) -> Vec<AccuracyAtDistance> {
        let at = |(bucket, &[answers, right]): (usize, &[u64; 2])| AccuracyAtDistance {
            from: 1 << bucket,
            to: (2 << bucket) - 1,
            answers,
            right,
        };
        self.0.iter().enumerate().filter(|(_, [answers, _])| *answers > 0).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_if_all_its_labels_are_likely() {
        let answers = [(0..1, 1), (1..3, 5), (3..5, 7), (5..6, 64)].map(|(positions, distance)| Answer { positions, distance });
        let log_probs = [0.9f32, 0.9, 0.4, 0.6, 0.7, 0.5].map(f32::ln);
        let mut counts = Counts::default();
        assert_eq!((counts.accuracy(), counts.by_distance()), (None, Vec::new()));
        counts.add(&answers, &log_probs);
        assert_eq!(counts.accuracy(), Some(0.5));
        let found: Vec<[u64; 4]> = counts.by_distance().iter().map(|at| [at.from, at.to, at.answers, at.right]).collect();
        assert_eq!(found, [[1, 1, 1, 1], [4, 7, 2, 1], [64, 127, 1, 0]]);
    }
}
