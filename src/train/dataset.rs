//! Datasets. A batch depends only on the dataset, the seed and the batch's number, so a resumed run sees the same batches.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::accuracy::Answer;
use super::documents::Documents;
use super::draw::{VALIDATION_BATCHES, needed, numbered};
use super::objectives::ReferenceModel;
use super::pairs::Pairs;
use super::summary::Summary;
use super::tasks::{PreferencesTask, Task};
use crate::error::{Error, Result};
use crate::model::Config;
use crate::model::fingerprint::hash;
use crate::shaders;
use crate::step::Batch;
use crate::text::Document;

/// A dataset: a text, documents, or a generated task.
#[derive(Debug)]
pub struct Dataset(Kind);

#[derive(Debug)]
enum Kind {
    Stream(Stream),
    Documents(Documents),
    Pairs(Pairs),
    Generated(Generated),
}

/// A held-out batch.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The batch.
    pub batch: Batch,
    /// Its answers, if its dataset is a task.
    pub answers: Vec<Answer>,
}

/// The byte vocabulary.
const BYTES: (&str, u32) = ("bytes", 256);
impl Dataset {
    /// A text as bytes. The last tenth (at least one sequence) is held out for validation.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is empty or too short for two sequences.
    pub fn text(mut bytes: Vec<u8>, seq_len: u32) -> Result<Self> {
        // A byte order mark is no part of a text.
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Self::stream(Tokens::Bytes(bytes), BYTES, seq_len)
    }

    /// A text as token ids. The last tenth (at least one sequence) is held out for validation.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is empty or too short for two sequences.
    pub fn tokens(ids: Vec<u32>, seq_len: u32) -> Result<Self> {
        let needed = needed(&ids);
        Self::stream(Tokens::Ids(ids), ("tokens", needed), seq_len)
    }

    fn stream(mut training: Tokens, vocabulary: (&'static str, u32), seq_len: u32) -> Result<Self> {
        let (len, window) = (training.len(), seq_len as usize + 1);
        if len == 0 {
            return Err(Error::Data("the text is empty; give it some UTF-8 text to learn from".to_owned()));
        }
        if len < 2 * window {
            let advice = match len / 2 {
                0..=8 => "take a longer text".to_owned(),
                half => format!("take a longer text, or a sequence length of {} at most", half - 1),
            };
            return Err(Error::Data(format!(
                "the text has {len} {}, and sequences of {seq_len} need {} (one to train on, one to validate); {advice}",
                vocabulary.0,
                2 * window
            )));
        }
        let validation = training.split_off(len - window.max(len / 10));
        Ok(Dataset(Kind::Stream(Stream { training, validation, vocabulary, seq_len })))
    }

    /// Documents of any length, packed. A tenth of them (at least one) is held out for validation. A document longer than a sequence is
    /// split into sequences, which do not see each other.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than two documents, or no token of them counts in the loss.
    pub fn documents(documents: &[Document], seq_len: u32) -> Result<Self> {
        Ok(Dataset(Kind::Documents(Documents::new(documents, seq_len)?)))
    }

    /// Pairs of a chosen and a rejected answer. A tenth of them (at least one) is held out for validation. What is longer than a sequence is
    /// cut at its end.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than two pairs.
    pub fn pairs(documents: &[[Document; 2]], seq_len: u32) -> Result<Self> {
        Ok(Dataset(Kind::Pairs(Pairs::new(documents, seq_len)?)))
    }

    /// Generated pairs of answers.
    ///
    /// # Errors
    /// [`Error::Data`] if the sequence is too short for the task.
    pub fn preferences(task: PreferencesTask, seq_len: u32) -> Result<Self> {
        Self::pairs(&task.pairs(seq_len)?, seq_len)
    }

    /// Does it consist of pairs, which [`Objective::Dpo`](crate::step::Objective::Dpo) compares?
    pub fn has_pairs(&self) -> bool {
        matches!(self.0, Kind::Pairs(_))
    }

    /// Asks the reference of what it finds of the labels of all pairs, if it consists of these, in batches of `batch` pairs. `progress` is told
    /// how many of how many batches are done, and can stop it.
    ///
    /// # Errors
    /// Errors of the device and of `progress`.
    pub async fn precompute_ref_log_probs(
        &mut self,
        reference: &mut ReferenceModel,
        batch: u32,
        progress: impl Fn(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let Kind::Pairs(pairs) = &mut self.0 else { return Ok(()) };
        let batches: Vec<Batch> = pairs.batches(batch).collect();
        for (number, of_pairs) in batches.iter().enumerate() {
            progress(number, batches.len())?;
            let log_probs = reference.log_probs(of_pairs).await?;
            pairs.set_ref_log_probs(number, batch, &log_probs);
        }
        Ok(())
    }

    /// The source of this project's shaders, a text that is always available.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is too short for two sequences.
    pub fn own(seq_len: u32) -> Result<Self> {
        Self::text(shaders::text().into_bytes(), seq_len)
    }

    /// A generated task.
    ///
    /// # Errors
    /// [`Error::Data`] if the sequence is too short for the task.
    pub fn task(task: Task, seq_len: u32) -> Result<Self> {
        task.check(seq_len)?;
        Ok(Dataset(Kind::Generated(Generated { task, seq_len })))
    }

    /// What was read. Nothing, if the data is generated.
    pub fn summary(&self) -> Option<Summary> {
        match &self.0 {
            Kind::Stream(stream) => Some(Summary::of_text((stream.training.len() + stream.validation.len()) as u64)),
            Kind::Documents(documents) => Some(documents.summary()),
            Kind::Pairs(pairs) => Some(pairs.summary()),
            Kind::Generated(_) => None,
        }
    }

    /// T: the longest sequence, in tokens.
    pub fn seq_len(&self) -> u32 {
        match &self.0 {
            Kind::Stream(stream) => stream.seq_len,
            Kind::Documents(documents) => documents.seq_len,
            Kind::Pairs(pairs) => pairs.seq_len,
            Kind::Generated(generated) => generated.task.visible(generated.seq_len),
        }
    }

    /// Checks that the model's vocabulary covers all token ids of the dataset.
    ///
    /// # Errors
    /// [`Error::Data`] with the required vocabulary size.
    pub fn check_vocab(&self, config: &Config) -> Result<()> {
        let (unit, needed) = match &self.0 {
            Kind::Stream(stream) => stream.vocabulary,
            Kind::Documents(documents) => ("the documents", documents.vocab_size()),
            Kind::Pairs(pairs) => ("the answers", pairs.vocab_size()),
            Kind::Generated(_) => BYTES,
        };
        if config.vocab_size < needed {
            return Err(Error::Data(format!(
                "the model knows {} tokens, and {unit} need {needed}; take a model with a vocab_size of {needed} or more",
                config.vocab_size
            )));
        }
        Ok(())
    }

    /// A hash of the data, to recognise the dataset of a run.
    pub fn fingerprint(&self) -> u64 {
        match &self.0 {
            Kind::Stream(stream) => stream.fingerprint(),
            Kind::Documents(documents) => documents.fingerprint(),
            Kind::Pairs(pairs) => pairs.fingerprint(),
            Kind::Generated(generated) => generated.fingerprint(),
        }
    }

    /// The batch with that number, of `sequences`×T tokens; of as many pairs, and twice as many tokens, if it consists of these.
    pub fn batch(&self, seed: u64, number: u64, sequences: u32) -> Batch {
        match &self.0 {
            Kind::Stream(stream) => stream.batch(seed, number, sequences),
            Kind::Documents(documents) => documents.batch(seed, number, sequences),
            Kind::Pairs(pairs) => pairs.batch(seed, number, sequences),
            Kind::Generated(generated) => generated.batch(&mut numbered(seed, number), sequences),
        }
    }

    /// The held-out batches, which no training step uses.
    pub fn validation(&self, sequences: u32) -> Vec<HeldOut> {
        let batches = match &self.0 {
            Kind::Stream(stream) => stream.validation(sequences),
            Kind::Documents(documents) => documents.validation(sequences),
            Kind::Pairs(pairs) => pairs.validation(sequences),
            Kind::Generated(generated) => return generated.validation(sequences),
        };
        batches.into_iter().map(|batch| HeldOut { batch, answers: Vec::new() }).collect()
    }
}

/// A text, of which random ranges are the sequences.
#[derive(Debug)]
struct Stream {
    training: Tokens,
    validation: Tokens,
    vocabulary: (&'static str, u32),
    seq_len: u32,
}

/// Token ids. A text as bytes takes one byte per token.
#[derive(Debug)]
enum Tokens {
    Bytes(Vec<u8>),
    Ids(Vec<u32>),
}

impl Tokens {
    fn len(&self) -> usize {
        match self {
            Tokens::Bytes(bytes) => bytes.len(),
            Tokens::Ids(ids) => ids.len(),
        }
    }

    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Tokens::Bytes(bytes) => Tokens::Bytes(bytes.split_off(at)),
            Tokens::Ids(ids) => Tokens::Ids(ids.split_off(at)),
        }
    }

    fn range(&self, range: Range<usize>) -> Vec<u32> {
        match self {
            Tokens::Bytes(bytes) => bytes[range].iter().copied().map(u32::from).collect(),
            Tokens::Ids(ids) => ids[range].to_vec(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let (bytes, ids): (&[u8], &[u32]) = match self {
            Tokens::Bytes(bytes) => (bytes, &[]),
            Tokens::Ids(ids) => (&[], ids),
        };
        bytes.iter().copied().map(u32::from).chain(ids.iter().copied())
    }
}

impl Stream {
    fn fingerprint(&self) -> u64 {
        hash(self.training.iter().chain(self.validation.iter()).map(u64::from))
    }

    fn batch(&self, seed: u64, number: u64, sequences: u32) -> Batch {
        let mut rng = numbered(seed, number);
        let starts = (self.training.len() - self.seq_len as usize) as u64;
        Batch::new((0..sequences).map(|_| window(&self.training, (rng.next_u64() % starts) as usize, self.seq_len)).collect())
    }

    fn validation(&self, sequences: u32) -> Vec<Batch> {
        let windows = ((self.validation.len() - 1) / self.seq_len as usize) as u32;
        let batches = windows.div_ceil(sequences).min(VALIDATION_BATCHES);
        let at = |i: u32| window(&self.validation, (i % windows * self.seq_len) as usize, self.seq_len);
        (0..batches).map(|b| Batch::new((0..sequences).map(|s| at(b * sequences + s)).collect())).collect()
    }
}

/// Sequences of a generated task.
#[derive(Debug)]
struct Generated {
    task: Task,
    seq_len: u32,
}

impl Generated {
    fn fingerprint(&self) -> u64 {
        hash(format!("{:?}", self.task).bytes().map(u64::from))
    }

    fn batch(&self, rng: &mut ChaCha8Rng, sequences: u32) -> Batch {
        self.held_out(rng, sequences).batch
    }

    fn validation(&self, sequences: u32) -> Vec<HeldOut> {
        let mut rng = ChaCha8Rng::seed_from_u64(u64::MAX);
        let batches = self.task.validation_sequences().div_ceil(sequences).max(VALIDATION_BATCHES);
        (0..batches).map(|_| self.held_out(&mut rng, sequences)).collect()
    }

    /// A batch, and its answers at their positions in it.
    fn held_out(&self, rng: &mut ChaCha8Rng, sequences: u32) -> HeldOut {
        let (mut packed, mut answers, mut start) = (Vec::new(), Vec::new(), 0);
        for _ in 0..sequences {
            let example = self.task.sequence(self.seq_len, rng);
            answers.extend(example.answers.into_iter().map(|answer| answer.moved_by(start)));
            start += example.ids.len() as u32;
            packed.push((example.ids, example.labels));
        }
        HeldOut { batch: Batch::new(packed), answers }
    }
}

/// `seq_len` tokens from `start` on, and the token after each as its label.
fn window(text: &Tokens, start: usize, seq_len: u32) -> (Vec<u32>, Vec<u32>) {
    let tokens = |from: usize| text.range(from..from + seq_len as usize);
    (tokens(start), tokens(start + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_depends_on_seed_and_number_alone() {
        let dataset = Dataset::own(64).unwrap();
        assert_eq!(dataset.batch(1, 7, 2), dataset.batch(1, 7, 2));
        assert_ne!(dataset.batch(1, 7, 2), dataset.batch(1, 8, 2));
        assert_ne!(dataset.batch(1, 7, 2), dataset.batch(2, 7, 2));
    }

    #[test]
    fn validation_is_kept_apart() {
        let text: Vec<u8> = (0..1000u32).map(|i| if i < 900 { b'a' } else { b'z' }).collect();
        let dataset = Dataset::text(text, 32).unwrap();
        assert!((0..50).all(|n| dataset.batch(0, n, 4).labels.iter().all(|&l| l == u32::from(b'a'))));
        assert!(dataset.validation(2).iter().all(|held_out| held_out.batch.input_ids.iter().all(|&l| l == u32::from(b'z'))));
    }

    #[test]
    fn a_text_that_is_too_short_says_how_long_it_must_be() {
        let error = Dataset::text(vec![b'a'; 100], 64).unwrap_err().to_string();
        assert!(error.contains("100 bytes") && error.contains("130") && error.contains("49"), "{error}");
        assert!(Dataset::text(vec![b'a'; 100], 49).is_ok());
        assert!(Dataset::text(Vec::new(), 64).unwrap_err().to_string().contains("empty"));
    }

    /// Runs of earlier versions of this program can be resumed.
    #[test]
    fn fingerprints_stay_what_they_were() {
        assert_eq!(Dataset::text(b"streambp ".repeat(20), 8).unwrap().fingerprint(), 0xa3857f6d2a62ca85);
        let sum = Task::Sum(super::super::SumTask { distance: 3 });
        assert_eq!(Dataset::task(sum, 8).unwrap().fingerprint(), 0x3729d02a296bc5a1);
    }

    #[test]
    fn a_vocabulary_too_small_for_the_ids_says_how_many_are_needed() {
        let config = |vocab_size| Config { vocab_size, ..crate::model::PRESETS[0].config.clone() };
        let dataset = Dataset::tokens((0..1000).map(|i| i % 400).collect(), 32).unwrap();
        let said = dataset.check_vocab(&config(399)).unwrap_err().to_string();
        assert!(said.contains("399") && said.contains("400"), "{said}");
        assert!(dataset.check_vocab(&config(400)).is_ok());
        // A byte dataset requires all 256 bytes, even those that do not occur.
        assert!(Dataset::text(vec![b'a'; 100], 8).unwrap().check_vocab(&config(255)).is_err());
    }

    #[test]
    fn answers_lie_in_their_sequences() {
        let sum = Task::Sum(super::super::SumTask { distance: 3 });
        let dataset = Dataset::task(sum, 8).unwrap();
        for HeldOut { batch, answers } in dataset.validation(2) {
            assert_eq!(answers.iter().map(|answer| answer.positions.start).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
            assert_eq!(answers.len() as u64, batch.label_count());
        }
    }

    #[test]
    fn the_own_source_is_long_enough_for_the_page() {
        assert!(shaders::text().len() >= 35_000);
    }
}
