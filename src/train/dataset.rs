//! Datasets. A batch depends only on the dataset, the seed and the batch's number, so a resumed run sees the same batches.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::accuracy::Answer;
use super::documents::Documents;
use super::draw::{VALIDATION_BATCHES, needed, numbered};
use super::objectives::ReferenceModel;
use super::pairs::Pairs;
use super::prompts::{Decode, Prompts};
use super::stream::{Stream, Tokens};
use super::summary::Summary;
use super::tasks::{PreferencesTask, Task};
use crate::error::{Error, Result};
use crate::model::Config;
use crate::model::fingerprint::hash;
use crate::shaders;
use crate::step::Batch;
use crate::text::{Document, Prompt};

/// A dataset: a text, documents, pairs of answers, prompts, or a generated task.
#[derive(Debug)]
pub struct Dataset(Kind);

#[derive(Debug)]
enum Kind {
    Stream(Stream),
    Documents(Documents),
    Pairs(Pairs),
    Prompts(Prompts),
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
        Ok(Dataset(Kind::Stream(Stream::new(Tokens::Bytes(bytes), BYTES, seq_len)?)))
    }

    /// A text as token ids. The last tenth (at least one sequence) is held out for validation.
    ///
    /// # Errors
    /// [`Error::Data`] if the text is empty or too short for two sequences.
    pub fn tokens(ids: Vec<u32>, seq_len: u32) -> Result<Self> {
        let needed = needed(&ids);
        Ok(Dataset(Kind::Stream(Stream::new(Tokens::Ids(ids), ("tokens", needed), seq_len)?)))
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

    /// Prompts, of whose completions a model is to learn. Those longer than `longest` tokens are left out; a tenth of the others (at least one)
    /// is held out for validation. `end` are the tokens that end a completion. Without `decode`, token ids are bytes.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than two prompts of at most that length, or an empty one.
    pub fn prompts_of(rows: Vec<Prompt>, end: Vec<u32>, decode: Option<Decode>, longest: u32) -> Result<Self> {
        Ok(Dataset(Kind::Prompts(Prompts::of_rows(rows, end, decode, longest)?)))
    }

    /// Prompts of a generated task, of at most `longest` tokens.
    ///
    /// # Errors
    /// [`Error::Data`] if a sequence of that length is too short for the task.
    pub fn task_prompts(task: Task, longest: u32) -> Result<Self> {
        Ok(Dataset(Kind::Prompts(Prompts::of_task(task, longest)?)))
    }

    /// Its prompts, if it consists of these.
    pub fn prompts(&self) -> Option<&Prompts> {
        match &self.0 {
            Kind::Prompts(prompts) => Some(prompts),
            Kind::Stream(_) | Kind::Documents(_) | Kind::Pairs(_) | Kind::Generated(_) => None,
        }
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
            Kind::Stream(stream) => Some(stream.summary()),
            Kind::Documents(documents) => Some(documents.summary()),
            Kind::Pairs(pairs) => Some(pairs.summary()),
            Kind::Prompts(prompts) => prompts.summary(),
            Kind::Generated(_) => None,
        }
    }

    /// T: the longest sequence, in tokens; of prompts the longest of these, without a completion.
    pub fn seq_len(&self) -> u32 {
        match &self.0 {
            Kind::Stream(stream) => stream.seq_len,
            Kind::Documents(documents) => documents.seq_len,
            Kind::Pairs(pairs) => pairs.seq_len,
            Kind::Prompts(prompts) => prompts.longest(),
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
            Kind::Prompts(prompts) => ("the prompts", prompts.vocab_size()),
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
            Kind::Prompts(prompts) => prompts.fingerprint(),
            Kind::Generated(generated) => generated.fingerprint(),
        }
    }

    /// The batch with that number, of `sequences`×T tokens; of as many pairs, and twice as many tokens, if it consists of these. Prompts have
    /// none.
    pub fn batch(&self, seed: u64, number: u64, sequences: u32) -> Batch {
        match &self.0 {
            Kind::Stream(stream) => stream.batch(seed, number, sequences),
            Kind::Documents(documents) => documents.batch(seed, number, sequences),
            Kind::Pairs(pairs) => pairs.batch(seed, number, sequences),
            Kind::Prompts(_) => panic!("prompts are no batch before something has gone on from them"),
            Kind::Generated(generated) => generated.batch(&mut numbered(seed, number), sequences),
        }
    }

    /// The held-out batches, which no training step uses. Prompts have none.
    pub fn validation(&self, sequences: u32) -> Vec<HeldOut> {
        let batches = match &self.0 {
            Kind::Stream(stream) => stream.validation(sequences),
            Kind::Documents(documents) => documents.validation(sequences),
            Kind::Pairs(pairs) => pairs.validation(sequences),
            Kind::Prompts(_) => Vec::new(),
            Kind::Generated(generated) => return generated.validation(sequences),
        };
        batches.into_iter().map(|batch| HeldOut { batch, answers: Vec::new() }).collect()
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
