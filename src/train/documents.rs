//! Packing of documents: they are concatenated into batches of one size, and do not see each other.
//!
//! The assignment of documents to batches is drawn once per run, the order of the batches once per epoch. So a batch depends only on seed
//! and number, and every document occurs once per epoch.

use std::collections::VecDeque;
use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::draw::{VALIDATION_BATCHES, needed, numbered, shuffle};
use super::summary::Summary;
use crate::error::{Error, Result};
use crate::model::fingerprint::hash;
use crate::step::{Batch, IGNORED_LABEL};
use crate::text::Document;

/// The number of pieces among which the packing looks for the next one that fits.
const LOOK_AHEAD: usize = 64;

/// Consecutive tokens of a document, and their labels.
pub(super) type Piece = (Vec<u32>, Vec<u32>);

/// The indices of the pieces of every batch.
type Plan = Vec<Vec<usize>>;

#[derive(Debug)]
pub(super) struct Documents {
    training: Vec<Piece>,
    validation: Vec<Piece>,
    pub seq_len: u32,
    summary: Summary,
    /// Seed, sequences and plan of the first request: a run makes no others.
    plan: OnceLock<(u64, u32, Plan)>,
}

impl Documents {
    pub fn new(documents: &[Document], seq_len: u32) -> Result<Self> {
        if documents.len() < 2 {
            return Err(Error::Data(format!(
                "there are {} documents, and 2 are needed (one to train on, one to validate); give more lines",
                documents.len()
            )));
        }
        let mut order: Vec<usize> = (0..documents.len()).collect();
        shuffle(&mut order, &mut ChaCha8Rng::seed_from_u64(u64::MAX));
        let (validation, training) = order.split_at_mut((documents.len() / 10).max(1));
        let pieces = |order: &mut [usize], purpose: &str| {
            order.sort_unstable();
            let pieces: Vec<Piece> = order.iter().flat_map(|&i| pieces(&documents[i], seq_len as usize)).collect();
            match pieces.is_empty() {
                true => {
                    Err(Error::Data(format!("no token of the documents to {purpose} on counts in the loss; give longer or more of them")))
                }
                false => Ok(pieces),
            }
        };
        let (training, validation) = (pieces(training, "train")?, pieces(validation, "validate")?);
        Ok(Documents { training, validation, seq_len, summary: Summary::of(documents, seq_len), plan: OnceLock::new() })
    }

    /// What was read, and what was lost of it.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The vocabulary size that a model needs.
    pub fn vocab_size(&self) -> u32 {
        vocab_size(self.training.iter().chain(&self.validation))
    }

    pub fn fingerprint(&self) -> u64 {
        // The length and the last label determine where a piece ends.
        let numbers =
            |(ids, labels): &Piece| ids.iter().chain(labels).copied().chain([ids.len() as u32]).map(u64::from).collect::<Vec<u64>>();
        hash(self.training.iter().chain(&self.validation).flat_map(numbers))
    }

    pub fn batch(&self, seed: u64, number: u64, sequences: u32) -> Batch {
        self.with_plan(seed, sequences, |plan| {
            let batches = plan.len() as u64;
            let mut order: Vec<usize> = (0..plan.len()).collect();
            shuffle(&mut order, &mut numbered(seed, number / batches));
            batch_of(&self.training, &plan[order[(number % batches) as usize]], self.seq_len, sequences)
        })
    }

    pub fn validation(&self, sequences: u32) -> Vec<Batch> {
        let order = (0..self.validation.len()).collect();
        let plan = pack(&self.validation, order, sequences as usize * self.seq_len as usize);
        plan.iter().take(VALIDATION_BATCHES as usize).map(|places| batch_of(&self.validation, places, self.seq_len, sequences)).collect()
    }

    /// Calls `of` with the pieces of the batches of an epoch.
    fn with_plan<T>(&self, seed: u64, sequences: u32, of: impl FnOnce(&Plan) -> T) -> T {
        let make = || {
            let mut order: Vec<usize> = (0..self.training.len()).collect();
            shuffle(&mut order, &mut numbered(seed, u64::MAX));
            pack(&self.training, order, sequences as usize * self.seq_len as usize)
        };
        let (known_seed, known_sequences, plan) = self.plan.get_or_init(|| (seed, sequences, make()));
        if (*known_seed, *known_sequences) == (seed, sequences) { of(plan) } else { of(&make()) }
    }
}

/// All pieces of some documents, packed into batches in their order.
pub(super) struct Packed {
    pieces: Vec<Piece>,
    plan: Plan,
    seq_len: u32,
    sequences: u32,
}

impl Packed {
    pub fn new(documents: &[Document], seq_len: u32, sequences: u32) -> Self {
        let pieces: Vec<Piece> = documents.iter().flat_map(|document| pieces(document, seq_len as usize)).collect();
        let plan = pack(&pieces, (0..pieces.len()).collect(), sequences as usize * seq_len as usize);
        Packed { pieces, plan, seq_len, sequences }
    }

    pub fn batches(&self) -> impl ExactSizeIterator<Item = Batch> {
        self.plan.iter().map(|places| batch_of(&self.pieces, places, self.seq_len, self.sequences))
    }

    /// The vocabulary size that a model needs.
    pub fn vocab_size(&self) -> u32 {
        vocab_size(&self.pieces)
    }
}

fn vocab_size<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> u32 {
    needed(pieces.into_iter().flat_map(|(ids, labels)| ids.iter().chain(labels)).filter(|&&id| id != IGNORED_LABEL))
}

/// The batch of the pieces with those indices, filled up with sequences without labels.
fn batch_of(pieces: &[Piece], places: &[usize], seq_len: u32, sequences: u32) -> Batch {
    let packed: Vec<Piece> = places.iter().map(|&place| pieces[place].clone()).collect();
    Batch::new(filled_up(packed, seq_len as usize, sequences as usize))
}

/// Pieces, and sequences without labels for what they leave of `sequences`×`seq_len` tokens.
pub(super) fn filled_up(mut packed: Vec<Piece>, seq_len: usize, sequences: usize) -> Vec<Piece> {
    let mut left = sequences * seq_len - packed.iter().map(|(ids, _)| ids.len()).sum::<usize>();
    while left > 0 {
        let len = left.min(seq_len);
        packed.push((vec![0; len], vec![IGNORED_LABEL; len]));
        left -= len;
    }
    packed
}

/// Splits a document into pieces of at most `seq_len` tokens. The last token of the document is only a label. Pieces without labels are
/// left out, since they would contribute to no gradient.
fn pieces(document: &Document, seq_len: usize) -> impl Iterator<Item = Piece> {
    let (ids, assistant_mask) = (&document.ids, &document.assistant_mask);
    let last = ids.len().saturating_sub(1);
    let piece = move |start: usize| {
        let places = start..(start + seq_len).min(last);
        let label = |i: usize| if assistant_mask[i + 1] { ids[i + 1] } else { IGNORED_LABEL };
        (ids[places.clone()].to_vec(), places.map(label).collect::<Vec<u32>>())
    };
    (0..last).step_by(seq_len).map(piece).filter(|(_, labels)| labels.iter().any(|&label| label != IGNORED_LABEL))
}

/// Packs pieces into batches of `tokens` tokens: repeatedly takes the first of the next few pieces that fits, and starts a new batch if
/// none does.
fn pack(pieces: &[Piece], order: Vec<usize>, tokens: usize) -> Plan {
    let (mut order, mut next) = (order.into_iter(), VecDeque::new());
    let (mut plan, mut left) = (Plan::new(), 0);
    loop {
        next.extend(order.by_ref().take(LOOK_AHEAD - next.len()));
        if next.is_empty() {
            return plan;
        }
        match next.iter().position(|&place: &usize| pieces[place].0.len() <= left) {
            Some(found) => {
                let place = next.remove(found).expect("it was found there");
                left -= pieces[place].0.len();
                plan.last_mut().expect("what has room is there").push(place);
            }
            None => {
                plan.push(Vec::new());
                left = tokens;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::train::Dataset;

    const SEQ_LEN: u32 = 16;
    const SEQUENCES: u32 = 3;

    /// Documents of many lengths, whose token ids are all different.
    fn documents(count: u32) -> Vec<Document> {
        let mut next = 1;
        let document = |i: u32| {
            let len = 2 + i * 7 % 40;
            let ids: Vec<u32> = (next..next + len).collect();
            next += len;
            Document { assistant_mask: vec![true; ids.len()], ids }
        };
        (0..count).map(document).collect()
    }

    /// Pairs of a token and its label that count in the loss, with their numbers of occurrences.
    fn learned(batches: &[Batch]) -> BTreeMap<(u32, u32), u32> {
        let mut pairs = BTreeMap::new();
        for batch in batches {
            for (&id, &label) in batch.input_ids.iter().zip(&batch.labels).filter(|(_, label)| **label != IGNORED_LABEL) {
                *pairs.entry((id, label)).or_default() += 1;
            }
        }
        pairs
    }

    fn held_out(dataset: &Dataset) -> Vec<Batch> {
        dataset.validation(SEQUENCES).into_iter().map(|held_out| held_out.batch).collect()
    }

    fn plan_of(documents: &[Document], seed: u64) -> usize {
        Documents::new(documents, SEQ_LEN).unwrap().with_plan(seed, SEQUENCES, Vec::len)
    }

    #[test]
    fn every_label_comes_once_an_epoch_or_is_kept_for_validation() {
        let documents = documents(100);
        let (dataset, epoch) = (Dataset::documents(&documents, SEQ_LEN).unwrap(), plan_of(&documents, 5) as u64);
        let mut expected: BTreeMap<(u32, u32), u32> =
            documents.iter().flat_map(|d| d.ids.windows(2)).map(|pair| ((pair[0], pair[1]), 1)).collect();
        for number in 0..2 {
            let batches: Vec<Batch> = (number * epoch..(number + 1) * epoch).map(|i| dataset.batch(5, i, SEQUENCES)).collect();
            let trained = learned(&batches);
            assert!(trained.values().all(|&times| times == 1) && trained.keys().all(|pair| expected.contains_key(pair)));
            if number == 1 {
                expected.retain(|pair, _| !trained.contains_key(pair));
            }
        }
        let held_back: Vec<u32> = expected.keys().map(|&(id, _)| id).collect();
        let documents_held = documents.iter().filter(|d| held_back.contains(&d.ids[0]));
        assert_eq!(documents_held.map(|d| d.ids.len() - 1).sum::<usize>(), held_back.len(), "whole documents");
        assert!(learned(&held_out(&dataset)).keys().all(|pair| expected.contains_key(pair)));
        assert_eq!(documents.iter().filter(|d| held_back.contains(&d.ids[0])).count(), 10);
    }

    #[test]
    fn batches_have_one_size_and_no_label_crosses_a_document() {
        let documents = documents(60);
        let dataset = Dataset::documents(&documents, SEQ_LEN).unwrap();
        for batch in (0..40).map(|i| dataset.batch(1, i, SEQUENCES)).chain(held_out(&dataset)) {
            assert_eq!(batch.shape.tokens(), SEQ_LEN * SEQUENCES);
            assert!(batch.shape.longest() <= SEQ_LEN && batch.label_count() > 0);
            // The documents are consecutive numbers, so within a sequence each token is one more than the one before.
            let starts = batch.shape.segment_starts();
            for (i, (&id, &label)) in batch.input_ids.iter().zip(&batch.labels).enumerate() {
                let start = starts[i] as usize;
                let is_filler = batch.input_ids[start] == 0;
                assert_eq!(label, if is_filler { IGNORED_LABEL } else { id + 1 });
                assert_eq!(id, if is_filler { 0 } else { batch.input_ids[start] + (i - start) as u32 });
            }
            let places = batch.input_ids.iter().filter(|&&id| id != 0);
            let filler = (SEQ_LEN * SEQUENCES) as usize - places.count();
            let last = batch.shape.lengths().last().copied().unwrap();
            assert!(filler == 0 || batch.input_ids[batch.input_ids.len() - last as usize..].iter().all(|&id| id == 0));
        }
    }

    #[test]
    fn batches_depend_on_seed_and_number_alone_and_epochs_differ() {
        let documents = documents(80);
        let dataset = Dataset::documents(&documents, SEQ_LEN).unwrap();
        let again = Dataset::documents(&documents, SEQ_LEN).unwrap();
        // The second dataset gets requests in another order, and one with another seed first.
        let expected: Vec<Batch> = (0..150).map(|i| dataset.batch(3, i, SEQUENCES)).collect();
        again.batch(4, 0, SEQUENCES);
        assert!((0..150).rev().all(|i| again.batch(3, i, SEQUENCES) == expected[i as usize]));
        let epoch = plan_of(&documents, 3);
        assert_ne!(expected[..epoch], expected[epoch..2 * epoch]);
        assert_ne!(dataset.batch(4, 0, SEQUENCES), expected[0]);
        assert_ne!(Dataset::documents(&documents[1..], SEQ_LEN).unwrap().fingerprint(), dataset.fingerprint());
        assert_eq!(again.fingerprint(), dataset.fingerprint());
    }

    #[test]
    fn little_room_is_left() {
        let dataset = Documents::new(&documents(200), SEQ_LEN).unwrap();
        let tokens: usize = dataset.training.iter().map(|(ids, _)| ids.len()).sum();
        let room = dataset.with_plan(1, SEQUENCES, Vec::len) * (SEQ_LEN * SEQUENCES) as usize;
        assert!(tokens as f64 > 0.97 * room as f64, "{tokens} of {room}");
    }

    #[test]
    fn what_is_not_learned_is_no_label_and_a_piece_without_labels_is_left_out() {
        let assistant_mask: Vec<bool> = (0..50).map(|i| (20..30).contains(&i)).collect();
        let document = Document { ids: (100..150).collect(), assistant_mask };
        let pieces: Vec<Piece> = pieces(&document, 16).collect();
        let starts: Vec<u32> = pieces.iter().map(|(ids, _)| ids[0]).collect();
        assert_eq!(starts, [116], "tokens 20 to 29 are predicted at 19 to 28");
        let labels: Vec<u32> = pieces[0].1.iter().copied().filter(|&label| label != IGNORED_LABEL).collect();
        assert_eq!(labels, (120..130).collect::<Vec<u32>>());
    }

    #[test]
    fn too_few_documents_and_nothing_to_learn_are_said() {
        let said = |documents: &[Document]| Dataset::documents(documents, SEQ_LEN).unwrap_err().to_string();
        assert!(said(&documents(1)).contains("1 documents, and 2"));
        let mute = Document { ids: vec![1, 2, 3], assistant_mask: vec![false; 3] };
        assert!(said(&[mute.clone(), mute]).contains("counts in the loss"));
    }
}
