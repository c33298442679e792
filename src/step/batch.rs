//! A packed batch: its shape, its contents, and their layout for a program.

use std::ops::Range;

use super::objective::{GrpoLossType, SampleMean};
use super::share::Share;
use super::split::Split;

/// The label of a token without loss (`-100` in PyTorch and Hugging Face).
pub const IGNORED_LABEL: u32 = u32::MAX;

/// The lengths of the sequences of a batch, which are concatenated without padding, and which of its tokens are those of this rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchShape {
    lengths: Vec<u32>,
    split: Option<Split>,
}

impl BatchShape {
    /// Sequences of these lengths, in this order.
    ///
    /// # Panics
    /// If there is none, if one is empty, or if all together have 2^31 tokens or more.
    pub fn packed(lengths: Vec<u32>) -> Self {
        let tokens: u64 = lengths.iter().map(|&t| u64::from(t)).sum();
        assert!(!lengths.is_empty() && !lengths.contains(&0) && tokens < 1 << 31, "sequences of {lengths:?} tokens");
        BatchShape { lengths, split: None }
    }

    /// The same batch, split between ranks. One alone holds all of it.
    ///
    /// # Panics
    /// If it is another number of tokens that is split.
    pub fn on_ranks(self, split: Split) -> Self {
        assert_eq!(split.tokens(), self.tokens(), "tokens that are split, and those of the batch");
        BatchShape { split: (split.ranks() > 1).then_some(split), ..self }
    }

    /// How it is split, if there are several ranks.
    pub fn split(&self) -> Option<&Split> {
        self.split.as_ref()
    }

    /// The tokens of this rank; all, if it is the only one.
    pub fn share(&self) -> Share {
        self.split.as_ref().map_or_else(|| self.tokens().into(), Split::share)
    }

    /// `sequences` sequences of `seq_len` tokens each.
    ///
    /// # Panics
    /// As [`BatchShape::packed`] does.
    pub fn uniform(sequences: u32, seq_len: u32) -> Self {
        Self::packed(vec![seq_len; sequences as usize])
    }

    /// T of each sequence, in tokens.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// N: tokens of the batch.
    pub fn tokens(&self) -> u32 {
        self.lengths.iter().sum()
    }

    /// T of the longest sequence.
    pub fn longest(&self) -> u32 {
        *self.lengths.iter().max().expect("a batch has a sequence")
    }

    /// The first token of each token's sequence: `segment_start[i]` (N).
    pub fn segment_starts(&self) -> Vec<u32> {
        let mut starts = Vec::with_capacity(self.tokens() as usize);
        for &length in &self.lengths {
            let start = starts.len() as u32;
            starts.extend(std::iter::repeat_n(start, length as usize));
        }
        starts
    }

    /// The first token that is visible to a token: in its sequence, and in its window.
    pub fn first_visible(&self, token: u32, window: Option<u32>) -> u32 {
        let ends = self.lengths.iter().scan(0, |end, &length| {
            *end += length;
            Some(*end)
        });
        let start = ends.take_while(|&end| end <= token).last().unwrap_or(0);
        window.map_or(start, |window| start.max(token.saturating_sub(window - 1)))
    }

    /// Pairs of a query in the range `tokens` and a key that is visible to it: at or before the query, in its sequence, and in its window.
    pub fn visible_pairs(&self, tokens: Range<u32>, window: Option<u32>) -> u64 {
        let window = window.map_or(u64::MAX, u64::from);
        // Of the first n queries of a sequence.
        let upto = |n: u64| if n <= window { n * (n + 1) / 2 } else { window * (window + 1) / 2 + (n - window) * window };
        let mut start = 0u64;
        let mut pairs = 0;
        for &length in &self.lengths {
            let end = start + u64::from(length);
            let [first, last] = [tokens.start, tokens.end].map(|token| u64::from(token).clamp(start, end) - start);
            pairs += upto(last) - upto(first);
            start = end;
        }
        pairs
    }
}

/// The contents of a packed batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The lengths of the sequences.
    pub shape: BatchShape,
    /// Token ids (N).
    pub input_ids: Vec<u32>,
    /// The token to predict at each position, or [`IGNORED_LABEL`] (N).
    pub labels: Vec<u32>,
    /// -∂loss/∂log_prob of each token (N). For an objective of pairs, the weight of a pair in the mean at each of its labels.
    pub loss_weight: Vec<f32>,
    /// P: pairs of sequences, for an objective that compares them; 0 for others.
    pub pairs: u32,
    /// The advantage of each sequence (B), for an objective of sampled completions. Empty for others.
    pub advantages: Vec<f32>,
    /// The log-probability of every label by the model that sampled it (N). Empty if there is none.
    pub old_log_probs: Vec<f32>,
    /// The log-probability of every label by the reference (N). Empty if there is none.
    pub ref_log_probs: Vec<f32>,
}

impl Batch {
    /// Packs sequences of token ids, each with the label of every position. The objective is the mean cross-entropy over the labels of this
    /// batch that are not ignored.
    ///
    /// # Panics
    /// If a sequence is empty, or has another number of labels than of tokens.
    pub fn new(sequences: Vec<(Vec<u32>, Vec<u32>)>) -> Self {
        let lengths = sequences.iter().map(|(ids, labels)| {
            assert_eq!(ids.len(), labels.len(), "token ids and labels of a sequence");
            ids.len() as u32
        });
        let shape = BatchShape::packed(lengths.collect());
        let (input_ids, labels): (Vec<_>, Vec<_>) = sequences.into_iter().unzip();
        let (input_ids, labels) = (input_ids.concat(), labels.concat());
        let (loss_weight, advantages, old_log_probs, ref_log_probs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let batch = Batch { shape, input_ids, labels, loss_weight, pairs: 0, advantages, old_log_probs, ref_log_probs };
        let labels = batch.label_count();
        batch.averaged_over(labels)
    }

    /// The same batch as pairs: sequences `2p` and `2p + 1` are the chosen and the rejected one of pair `p`, and any after them have no
    /// labels. `ref_log_probs` has the log-probability of every label by the reference. The objective is the mean over the pairs.
    ///
    /// # Panics
    /// If there are fewer sequences, or another number of log-probabilities than of tokens.
    pub fn in_pairs(self, pairs: u32, ref_log_probs: Vec<f32>) -> Self {
        assert!(2 * pairs as usize <= self.shape.lengths().len(), "{pairs} pairs of {} sequences", self.shape.lengths().len());
        assert_eq!(ref_log_probs.len(), self.input_ids.len(), "log-probabilities by the reference, and tokens");
        Batch { pairs, ref_log_probs, ..self.averaged_over(pairs.into()) }
    }

    /// The same batch as sampled completions, each with an advantage, and with log-probabilities of its labels by the model that sampled them
    /// and by the reference, where there are any. Sequences behind them have no labels.
    ///
    /// # Panics
    /// If there are more advantages than sequences, or log-probabilities of other tokens.
    pub fn in_samples(self, mean: SampleMean, advantages: Vec<f32>, old_log_probs: Vec<f32>, ref_log_probs: Vec<f32>) -> Self {
        assert!(advantages.len() <= self.shape.lengths().len(), "{} advantages of {:?}", advantages.len(), self.shape);
        for log_probs in [&old_log_probs, &ref_log_probs] {
            assert!(log_probs.is_empty() || log_probs.len() == self.input_ids.len(), "{} log-probabilities", log_probs.len());
        }
        let SampleMean { loss_type, longest, batches, labels } = mean;
        let (sequences, batches) = (advantages.len() as f64, f64::from(batches));
        let terms = |of_sequence: usize| match loss_type {
            GrpoLossType::Dapo => labels.unwrap_or(self.label_count()) as f64,
            GrpoLossType::Bnpo => self.label_count() as f64 * batches,
            GrpoLossType::Grpo => sequences * of_sequence as f64 * batches,
            GrpoLossType::DrGrpo => sequences * f64::from(longest) * batches,
        };
        let mut rest = &self.labels[..];
        let mut loss_weight = Vec::with_capacity(rest.len());
        for &length in self.shape.lengths() {
            let (of_sequence, others) = rest.split_at(length as usize);
            let counted = of_sequence.iter().filter(|&&label| label != IGNORED_LABEL).count();
            loss_weight.extend(of_sequence.iter().map(|&label| if label == IGNORED_LABEL { 0.0 } else { (1.0 / terms(counted)) as f32 }));
            rest = others;
        }
        Batch { loss_weight, advantages, old_log_probs, ref_log_probs, ..self }
    }

    /// The shape to plan a step on this batch for: the sequences that fill up a batch of pairs or of samples are none of these.
    pub fn planned_shape(&self) -> BatchShape {
        let sequences = (2 * self.pairs).max(self.advantages.len() as u32);
        match sequences > 0 && self.shape.lengths().len() as u32 > sequences {
            true => BatchShape::uniform(sequences, self.shape.tokens() / sequences),
            false => self.shape.clone(),
        }
    }

    /// Labels that count in the loss.
    pub fn label_count(&self) -> u64 {
        self.labels.iter().filter(|&&label| label != IGNORED_LABEL).count() as u64
    }

    /// What the objective is a mean over: pairs, or labels that count in the loss.
    pub fn count(&self) -> u64 {
        if self.pairs > 0 { self.pairs.into() } else { self.label_count() }
    }

    /// The same batch with its loss averaged over that many labels, or pairs: for gradient accumulation, where they are those of all
    /// micro-batches.
    pub fn averaged_over(mut self, count: u64) -> Self {
        let weight = if count == 0 { 0.0 } else { (1.0 / count as f64) as f32 };
        self.loss_weight = self.labels.iter().map(|&label| if label == IGNORED_LABEL { 0.0 } else { weight }).collect();
        self
    }

    /// Token positions sorted by token id, descending within an id (N), and the start of each id's run (V+1). The padding token, whose row
    /// of the embedding no look-up trains, has an empty run.
    pub fn tokens_by_id(&self, vocab_size: u32, pad_token_id: Option<u32>) -> (Vec<u32>, Vec<u32>) {
        let mut start = vec![0u32; vocab_size as usize + 1];
        let trained = || self.input_ids.iter().enumerate().filter(|&(_, &id)| Some(id) != pad_token_id);
        trained().for_each(|(_, &id)| start[id as usize + 1] += 1);
        (0..vocab_size as usize).for_each(|id| start[id + 1] += start[id]);
        let mut next = start.clone();
        let mut order = vec![0; self.input_ids.len()];
        for (position, &id) in trained().rev() {
            order[next[id as usize] as usize] = position as u32;
            next[id as usize] += 1;
        }
        (order, start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_an_id_run_from_last_to_first() {
        let batch = Batch::new(vec![(vec![2, 0, 2, 1, 2], vec![0; 5])]);
        let (order, start) = batch.tokens_by_id(4, None);
        assert_eq!(order, [1, 3, 4, 2, 0]);
        assert_eq!(start, [0, 1, 2, 5, 5]);
        let (order, start) = batch.tokens_by_id(4, Some(0));
        assert_eq!((&order[..4], &start[..]), (&[3, 4, 2, 0][..], &[0, 0, 1, 4, 4][..]));
    }

    #[test]
    fn pairs_are_those_in_sequence_and_window() {
        let batch = BatchShape::packed(vec![7, 1, 12]);
        let starts = batch.segment_starts();
        for window in [None, Some(1), Some(3), Some(12)] {
            for tokens in [0..20, 3..9, 10..11] {
                let sees = |i: u32, j: u32| j >= starts[i as usize] && j <= i && i - j < window.unwrap_or(u32::MAX);
                let counted = tokens.clone().map(|i| (0..20).filter(|&j| sees(i, j)).count() as u64).sum::<u64>();
                assert_eq!(batch.visible_pairs(tokens.clone(), window), counted, "{tokens:?} {window:?}");
            }
        }
    }

    #[test]
    fn the_mean_is_over_the_labels_that_count() {
        let batch = Batch::new(vec![(vec![1, 2, 3], vec![2, IGNORED_LABEL, 1])]);
        assert_eq!(batch.loss_weight, [0.5, 0.0, 0.5]);
    }
}
