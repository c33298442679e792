//! A text as one stream of tokens.

use std::ops::Range;

use rand_chacha::rand_core::Rng;

use super::draw::{VALIDATION_BATCHES, numbered};
use super::summary::Summary;
use crate::error::{Error, Result};
use crate::model::fingerprint::hash;
use crate::step::Batch;

/// A text, of which random ranges are the sequences.
#[derive(Debug)]
pub(super) struct Stream {
    training: Tokens,
    validation: Tokens,
    /// What its tokens are called, and the vocabulary size that a model needs.
    pub vocabulary: (&'static str, u32),
    pub seq_len: u32,
}

/// Token ids. A text as bytes takes one byte per token.
#[derive(Debug)]
pub(super) enum Tokens {
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
    /// A text whose tokens have that name and need that many entries of a vocabulary. Its last tenth (at least one sequence) is held out.
    pub fn new(mut training: Tokens, vocabulary: (&'static str, u32), seq_len: u32) -> Result<Self> {
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
        Ok(Stream { training, validation, vocabulary, seq_len })
    }

    /// What was read.
    pub fn summary(&self) -> Summary {
        Summary::of_text((self.training.len() + self.validation.len()) as u64)
    }

    pub fn fingerprint(&self) -> u64 {
        hash(self.training.iter().chain(self.validation.iter()).map(u64::from))
    }

    pub fn batch(&self, seed: u64, number: u64, sequences: u32) -> Batch {
        let mut rng = numbered(seed, number);
        let starts = (self.training.len() - self.seq_len as usize) as u64;
        Batch::new((0..sequences).map(|_| window(&self.training, (rng.next_u64() % starts) as usize, self.seq_len)).collect())
    }

    pub fn validation(&self, sequences: u32) -> Vec<Batch> {
        let windows = ((self.validation.len() - 1) / self.seq_len as usize) as u32;
        let batches = windows.div_ceil(sequences).min(VALIDATION_BATCHES);
        let at = |i: u32| window(&self.validation, (i % windows * self.seq_len) as usize, self.seq_len);
        (0..batches).map(|b| Batch::new((0..sequences).map(|s| at(b * sequences + s)).collect())).collect()
    }
}

/// `seq_len` tokens from `start` on, and the token after each as its label.
fn window(text: &Tokens, start: usize, seq_len: u32) -> (Vec<u32>, Vec<u32>) {
    let tokens = |from: usize| text.range(from..from + seq_len as usize);
    (tokens(start), tokens(start + 1))
}
