//! Pairs of answers: which of them are in a batch, and what the reference says of their labels.
//!
//! A batch has as many pairs as it is asked for, each whole: the chosen and the rejected sequence of a pair follow each other. What they leave
//! of the batch's tokens is filled up with sequences without labels. The order of the pairs is drawn once per epoch, so a batch depends only on
//! seed and number.

use super::documents::{Piece, filled_up};
use super::draw::{VALIDATION_BATCHES, in_epochs, needed, with_held_out};
use super::summary::Summary;
use crate::error::{Error, Result};
use crate::model::fingerprint::hash;
use crate::step::{Batch, IGNORED_LABEL};
use crate::text::Document;

/// Pairs of a validation, at least, if so many are held out: a share of fewer would say little.
const VALIDATION_PAIRS: u32 = 16;

/// A pair: the chosen and the rejected sequence.
#[derive(Debug)]
struct Pair {
    pieces: [Piece; 2],
    /// The log-probability of each of their labels by the reference; 0 where it is ignored.
    ref_log_probs: [Vec<f32>; 2],
}

/// The pairs of a dataset.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Those to train on, then the held-out ones.
    all: Vec<Pair>,
    training: usize,
    /// The longest sequence, at most the one that was asked for.
    pub seq_len: u32,
    summary: Summary,
}

impl Pairs {
    /// Pairs of documents, each cut after `seq_len` tokens, as TRL does. A tenth of them (at least one) is held out for validation.
    pub fn new(documents: &[[Document; 2]], seq_len: u32) -> Result<Self> {
        if documents.len() < 2 {
            return Err(Error::Data(format!(
                "there are {} pairs of answers, and 2 are needed (one to train on, one to validate); give more rows",
                documents.len()
            )));
        }
        let summary = Summary::of(documents.as_flattened(), seq_len);
        let (order, training) = with_held_out(documents.len());
        let pair = |place: usize| {
            let pieces = documents[place].each_ref().map(|document| piece(document, seq_len as usize));
            let ref_log_probs = pieces.each_ref().map(|(ids, _)| vec![0.0; ids.len()]);
            Pair { pieces, ref_log_probs }
        };
        let all: Vec<Pair> = order.into_iter().map(pair).collect();
        let longest = all.iter().flat_map(|pair| &pair.pieces).map(|(ids, _)| ids.len() as u32).max();
        Ok(Pairs { all, training, seq_len: longest.unwrap_or_default().max(1), summary })
    }

    /// What was read, and what was lost of it.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The vocabulary size that a model needs.
    pub fn vocab_size(&self) -> u32 {
        let pieces = self.all.iter().flat_map(|pair| &pair.pieces);
        needed(pieces.flat_map(|(ids, labels)| ids.iter().chain(labels)).filter(|&&id| id != IGNORED_LABEL))
    }

    pub fn fingerprint(&self) -> u64 {
        let numbers =
            |(ids, labels): &Piece| ids.iter().chain(labels).copied().chain([ids.len() as u32]).map(u64::from).collect::<Vec<u64>>();
        hash(self.all.iter().flat_map(|pair| &pair.pieces).flat_map(numbers))
    }

    /// The batch with that number, of `pairs` pairs.
    pub fn batch(&self, seed: u64, number: u64, pairs: u32) -> Batch {
        self.batch_of(&in_epochs(self.training, seed, number * u64::from(pairs), pairs))
    }

    /// The held-out batches.
    pub fn validation(&self, pairs: u32) -> Vec<Batch> {
        let held_out = self.all.len() - self.training;
        let batches = (held_out as u32).div_ceil(pairs).min(VALIDATION_PAIRS.div_ceil(pairs).max(VALIDATION_BATCHES));
        let of_batch = |batch: u32| (0..pairs).map(|i| self.training + (batch * pairs + i) as usize % held_out).collect::<Vec<usize>>();
        (0..batches).map(|batch| self.batch_of(&of_batch(batch))).collect()
    }

    /// All pairs in batches, for asking the reference. The last one begins again.
    pub fn batches(&self, pairs: u32) -> impl ExactSizeIterator<Item = Batch> {
        (0..self.all.len().div_ceil(pairs as usize)).map(move |batch| {
            let places = (0..pairs as usize).map(|i| (batch * pairs as usize + i) % self.all.len());
            self.batch_of(&places.collect::<Vec<usize>>())
        })
    }

    /// Keeps what the reference says of the labels of a batch of [`Pairs::batches`] with that number.
    pub fn set_ref_log_probs(&mut self, batch: usize, pairs: u32, log_probs: &[f32]) {
        let (count, mut start) = (self.all.len(), 0);
        for i in 0..pairs as usize {
            for of_sequence in &mut self.all[(batch * pairs as usize + i) % count].ref_log_probs {
                let end = start + of_sequence.len();
                of_sequence.copy_from_slice(&log_probs[start..end]);
                start = end;
            }
        }
    }

    fn batch_of(&self, places: &[usize]) -> Batch {
        let pairs = || places.iter().map(|&place| &self.all[place]);
        let pieces = pairs().flat_map(|pair| pair.pieces.iter().cloned()).collect();
        let batch = Batch::new(filled_up(pieces, self.seq_len as usize, 2 * places.len()));
        let mut ref_log_probs: Vec<f32> = pairs().flat_map(|pair| &pair.ref_log_probs).flatten().copied().collect();
        ref_log_probs.resize(batch.input_ids.len(), 0.0);
        batch.in_pairs(places.len() as u32, ref_log_probs)
    }
}

/// The first tokens of a document, with the label of each. The last of them is only a label.
fn piece(document: &Document, seq_len: usize) -> Piece {
    let (ids, mask) = (&document.ids, &document.assistant_mask);
    let places = 0..ids.len().saturating_sub(1).min(seq_len);
    let label = |i: usize| if mask[i + 1] { ids[i + 1] } else { IGNORED_LABEL };
    (ids[places.clone()].to_vec(), places.map(label).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of a prompt of two tokens and answers of one to five.
    fn pairs(count: u32, seq_len: u32) -> Pairs {
        let document = |prompt: u32, answer: Vec<u32>| Document {
            assistant_mask: [false, false].into_iter().chain(answer.iter().map(|_| true)).collect(),
            ids: [prompt, prompt].into_iter().chain(answer).collect(),
        };
        let of_pair = |i: u32| [document(i, vec![100; 1 + i as usize % 5]), document(i, vec![200; 3])];
        Pairs::new(&(0..count).map(of_pair).collect::<Vec<_>>(), seq_len).unwrap()
    }

    #[test]
    fn pairs_stay_together_and_each_comes_once_an_epoch() {
        let pairs = pairs(20, 100);
        assert_eq!((pairs.training, pairs.seq_len), (18, 6));
        let mut seen: Vec<u32> = Vec::new();
        for number in 0..6 {
            let batch = pairs.batch(1, number, 3);
            assert_eq!((batch.pairs, batch.shape.tokens(), batch.shape.longest() <= 6), (3, 36, true));
            let starts = batch.shape.segment_starts();
            let firsts: Vec<u32> = (0..36).filter(|&i| starts[i] == i as u32).map(|i| batch.input_ids[i]).collect();
            for pair in firsts[..6].chunks(2) {
                assert_eq!(pair[0], pair[1], "the chosen and the rejected sequence have one prompt");
                seen.push(pair[0]);
            }
            assert!(batch.loss_weight.iter().zip(&batch.labels).all(|(weight, label)| (*label != IGNORED_LABEL) == (*weight == 1.0 / 3.0)));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 18);
        assert!(pairs.validation(3).iter().all(|batch| !seen.contains(&batch.input_ids[0])));
        assert_eq!(pairs.batch(1, 2, 3), pairs.batch(1, 2, 3));
        assert_ne!(pairs.batch(1, 2, 3), pairs.batch(2, 2, 3));
    }

    #[test]
    fn what_the_reference_says_comes_with_each_batch() {
        let mut pairs = pairs(7, 100);
        let asked: Vec<Batch> = pairs.batches(3).collect();
        assert_eq!(asked.len(), 3);
        for (number, batch) in asked.iter().enumerate() {
            let said: Vec<f32> = batch
                .input_ids
                .iter()
                .zip(&batch.labels)
                .map(|(&id, &label)| if label == IGNORED_LABEL { 0.0 } else { -(id as f32) })
                .collect();
            pairs.set_ref_log_probs(number, 3, &said);
        }
        let batch = pairs.batch(0, 1, 2);
        for ((said, &id), &label) in batch.ref_log_probs.iter().zip(&batch.input_ids).zip(&batch.labels) {
            assert_eq!(*said, if label == IGNORED_LABEL { 0.0 } else { -(id as f32) });
        }
    }

    #[test]
    fn long_answers_are_cut_at_their_end() {
        let pairs = pairs(10, 4);
        assert_eq!(pairs.seq_len, 4);
        // A prompt of two tokens and an answer of five: the last two are cut, and the third is only a label.
        assert!(pairs.summary().cut > 0);
        assert!(Pairs::new(&[], 4).unwrap_err().to_string().contains("there are 0 pairs"));
    }
}
