//! Where batches come from. Every batch is a function of the seed and its number alone, so a run that is resumed sees
//! what it would have seen.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Task;
use crate::error::{Error, Result};
use crate::gpu;
use crate::model::Config;
use crate::step::Batch;

/// Something to learn from, in sequences of one length.
#[derive(Clone, Debug)]
pub struct Source {
    seq_len: u32,
    kind: SourceKind,
}

#[derive(Clone, Debug)]
enum SourceKind {
    /// Bytes to train on, and bytes to validate on.
    Text { training: Vec<u8>, validation: Vec<u8> },
    /// Sequences that are made up.
    Task(Task),
}

/// Tokens of the byte vocabulary.
const BYTES: u32 = 256;
/// Batches that a validation looks at, at most.
const VALIDATION_BATCHES: u32 = 4;

impl Source {
    /// A text, byte by byte. The last tenth (one sequence at least) is kept for validation.
    ///
    /// # Errors
    /// [`Error::Data`] if it is empty or too short for two sequences.
    pub fn text(mut bytes: Vec<u8>, seq_len: u32) -> Result<Self> {
        let window = seq_len as usize + 1;
        if bytes.is_empty() {
            return Err(Error::Data("the text is empty; give it some UTF-8 text to learn from".to_owned()));
        }
        if bytes.len() < 2 * window {
            let advice = match bytes.len() / 2 {
                0..=8 => "take a longer text".to_owned(),
                half => format!("take a longer text, or a sequence length of {} at most", half - 1),
            };
            return Err(Error::Data(format!(
                "the text has {} bytes, and sequences of {seq_len} need {} (one to train on, one to validate); {advice}",
                bytes.len(),
                2 * window
            )));
        }
        let validation = bytes.split_off(bytes.len() - window.max(bytes.len() / 10));
        Ok(Source { seq_len, kind: SourceKind::Text { training: bytes, validation } })
    }

    /// This project's own shaders: a text that is at hand wherever the program is, and costs a page nothing more to load.
    ///
    /// # Errors
    /// [`Error::Data`] if that is too short for two sequences.
    pub fn own(seq_len: u32) -> Result<Self> {
        Self::text(gpu::shaders().into_bytes(), seq_len)
    }

    /// A generated task.
    ///
    /// # Errors
    /// [`Error::Data`] if a sequence cannot hold it.
    pub fn task(task: Task, seq_len: u32) -> Result<Self> {
        task.check(seq_len)?;
        Ok(Source { seq_len, kind: SourceKind::Task(task) })
    }

    /// T: tokens of a sequence.
    pub fn seq_len(&self) -> u32 {
        match &self.kind {
            SourceKind::Text { .. } => self.seq_len,
            SourceKind::Task(task) => task.visible(self.seq_len),
        }
    }

    /// Does the model know every token of it?
    ///
    /// # Errors
    /// [`Error::Data`] says how many it has to know.
    pub fn check_vocab(&self, config: &Config) -> Result<()> {
        if config.vocab_size < BYTES {
            return Err(Error::Data(format!(
                "the model knows {} tokens, and bytes need {BYTES}; take a model with a vocab_size of {BYTES} or more",
                config.vocab_size
            )));
        }
        Ok(())
    }

    /// Are there right answers, so that it makes sense to count them?
    pub fn has_answers(&self) -> bool {
        matches!(self.kind, SourceKind::Task(_))
    }

    /// A number that differs where the data differ.
    pub fn fingerprint(&self) -> u64 {
        // FNV-1a: short, and the same on every platform.
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let start = 0xcbf2_9ce4_8422_2325;
        match &self.kind {
            SourceKind::Text { training, validation } => training.iter().chain(validation).fold(start, hash),
            SourceKind::Task(task) => format!("{task:?}").as_bytes().iter().fold(start, hash),
        }
    }

    /// The batch of that number.
    pub fn batch(&self, seed: u64, number: u64, sequences: u32) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Batch::new((0..sequences).map(|_| self.sequence(&mut rng)).collect())
    }

    /// Batches that no training step ever sees.
    pub fn validation(&self, sequences: u32) -> Vec<Batch> {
        match &self.kind {
            SourceKind::Text { validation, .. } => {
                let windows = ((validation.len() - 1) / self.seq_len as usize) as u32;
                let batches = windows.div_ceil(sequences).min(VALIDATION_BATCHES);
                let at = |i: u32| window(validation, (i % windows * self.seq_len) as usize, self.seq_len);
                (0..batches).map(|b| Batch::new((0..sequences).map(|s| at(b * sequences + s)).collect())).collect()
            }
            SourceKind::Task(task) => {
                let mut rng = ChaCha8Rng::seed_from_u64(u64::MAX);
                let mut batch = || Batch::new((0..sequences).map(|_| task.sequence(self.seq_len, &mut rng)).collect());
                (0..VALIDATION_BATCHES).map(|_| batch()).collect()
            }
        }
    }

    fn sequence(&self, rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
        match &self.kind {
            SourceKind::Text { training, .. } => {
                let starts = (training.len() - self.seq_len as usize) as u64;
                window(training, (rng.next_u64() % starts) as usize, self.seq_len)
            }
            SourceKind::Task(task) => task.sequence(self.seq_len, rng),
        }
    }
}

/// Tokens from a place on, and for each the one behind it.
fn window(text: &[u8], start: usize, seq_len: u32) -> (Vec<u32>, Vec<u32>) {
    let tokens = |from: usize| text[from..from + seq_len as usize].iter().map(|&byte| u32::from(byte)).collect();
    (tokens(start), tokens(start + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_depends_on_seed_and_number_alone() {
        let source = Source::own(64).unwrap();
        assert_eq!(source.batch(1, 7, 2), source.batch(1, 7, 2));
        assert_ne!(source.batch(1, 7, 2), source.batch(1, 8, 2));
        assert_ne!(source.batch(1, 7, 2), source.batch(2, 7, 2));
    }

    #[test]
    fn validation_is_kept_apart() {
        let text: Vec<u8> = (0..1000u32).map(|i| if i < 900 { b'a' } else { b'z' }).collect();
        let source = Source::text(text, 32).unwrap();
        assert!((0..50).all(|n| source.batch(0, n, 4).labels.iter().all(|&l| l == u32::from(b'a'))));
        assert!(source.validation(2).iter().all(|b| b.input_ids.iter().all(|&l| l == u32::from(b'z'))));
    }

    #[test]
    fn a_text_that_is_too_short_says_how_long_it_must_be() {
        let error = Source::text(vec![b'a'; 100], 64).unwrap_err().to_string();
        assert!(error.contains("100 bytes") && error.contains("130") && error.contains("49"), "{error}");
        assert!(Source::text(vec![b'a'; 100], 49).is_ok());
        assert!(Source::text(Vec::new(), 64).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn the_own_source_is_long_enough_for_the_page() {
        assert!(gpu::shaders().len() >= 35_000);
    }
}
