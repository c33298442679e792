//! What ranks send each other, if the tokens of a batch lie on several of them.
//!
//! Every sum over tokens goes from the last tile of the batch to the first, and goes on from what lies in memory. So the last rank begins,
//! and the sums travel from rank to rank with the walk: the gradients are the same bits as on one device. Keys and values travel the other
//! way, to whoever sees them. Finished gradients lie on rank 0.

use std::ops::Range;

use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::message::{Batches, Message};
use super::ops::{Receive, Send};
use super::program::Pass;
use super::split::Split;
use super::tensor::TensorId;
use crate::model::{ParameterId, Role};

/// What a message is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    ForwardKeysValues,
    BackwardKeysValues,
    KeyValueGradients,
    Sums,
    Returned,
    LogProbsUp,
    LogProbsDown,
    Metrics,
    Gradients,
    Weights,
    MomentRequests,
    Moments,
}

impl About {
    const fn tag(self, number: u32) -> u32 {
        assert!(number < 1 << 16, "too many messages of a kind");
        (self as u32) << 16 | number
    }
}

/// A tensor of which rows are sent or received.
#[derive(Clone, Copy)]
struct Rows {
    id: TensorId,
    tag: u32,
    first: u32,
    count: u32,
}

impl Rows {
    fn of(id: TensorId, tag: u32, rows: Range<u32>) -> Rows {
        Rows { id, tag, first: rows.start, count: rows.end - rows.start }
    }

    fn whole(b: &Builder, id: TensorId, tag: u32) -> Rows {
        Rows::of(id, tag, 0..b.program.tensor(id).row_count)
    }
}

fn send(b: &mut Builder, rank: u32, batches: Batches, all: &[Rows]) {
    for &Rows { id, tag, first, count } in all.iter().filter(|rows| rows.count > 0) {
        b.push(Send { x: id, message: Message { rank, first_row: first, rows: count, tag, batches } });
    }
}

fn receive(b: &mut Builder, rank: u32, batches: Batches, all: &[Rows]) {
    for &Rows { id, tag, first, count } in all.iter().filter(|rows| rows.count > 0) {
        b.push(Receive { out: id, message: Message { rank, first_row: first, rows: count, tag, batches } });
    }
}

/// Appends an exchange: nothing, if there is only one rank.
fn exchange(b: &mut Builder, pass: Pass, title: &'static str, write: impl FnOnce(&mut Builder, &Split)) {
    if let Some(split) = b.program.batch.split().cloned() {
        let layers = b.layers_at_hand();
        b.block_of(&layers, pass, title, ChunkOrder::Whole, |b| write(b, &split));
    }
}

/// Keys and values of a layer: those of earlier tokens come from the rank before, and go on to the next with those of this rank.
/// `is_again` says whether they were exchanged before, in the forward pass.
pub(super) fn keys_values(b: &mut Builder, pass: Pass, layer: u32, keys_values: [TensorId; 2], is_again: bool) {
    let about = if is_again { About::BackwardKeysValues } else { About::ForwardKeysValues };
    let window = b.config().window(layer);
    exchange(b, pass, "exchange keys and values", |b, split| {
        pass_up(b, split, |end: u32| {
            let first = first_seen(end, window);
            [0, 1].map(|which| Rows::of(keys_values[which], about.tag(2 * layer + which as u32), first..end))
        });
    });
}

/// Receives rows that end where this rank's tokens begin, and sends those that end where they end.
fn pass_up<const COUNT: usize>(b: &mut Builder, split: &Split, rows: impl Fn(u32) -> [Rows; COUNT]) {
    let (rank, share) = (split.rank(), split.share());
    if rank > 0 {
        receive(b, rank - 1, Batches::All, &rows(share.first));
    }
    if !split.is_last() {
        send(b, rank + 1, Batches::All, &rows(share.end));
    }
}

/// The first token that any from `end` on may see.
fn first_seen(end: u32, window: Option<u32>) -> u32 {
    window.map_or(0, |window| end.saturating_sub(window - 1))
}

/// What the walk of a layer begins with: the sums over later tokens, of its weights' gradients and of the gradients of keys and values.
pub(super) fn begin_layer(b: &mut Builder, layer: u32, d_kv: [TensorId; 2]) {
    let (sums, rows) = (sums_of_layer(b, layer), key_value_gradients(b, layer, d_kv));
    exchange(b, Pass::Backward, "receive sums", |b, split| {
        begin_sums(b, split, &sums);
        if !split.is_last() {
            receive(b, split.rank() + 1, Batches::All, &rows(split.share().end));
        }
    });
}

/// Hands on the sums of a layer, to the rank before; or, for the next batch, to the last.
pub(super) fn end_layer(b: &mut Builder, layer: u32, d_kv: [TensorId; 2]) {
    let (sums, rows) = (sums_of_layer(b, layer), key_value_gradients(b, layer, d_kv));
    exchange(b, Pass::Backward, "send sums", |b, split| {
        end_sums(b, split, &sums, Batches::ButLast);
        if split.rank() > 0 {
            send(b, split.rank() - 1, Batches::All, &rows(split.share().first));
        }
    });
}

fn key_value_gradients(b: &Builder, layer: u32, d_kv: [TensorId; 2]) -> impl Fn(u32) -> [Rows; 2] + use<> {
    let window = b.config().window(layer);
    move |end| {
        [0, 1].map(|which| Rows::of(d_kv[which], About::KeyValueGradients.tag(2 * layer + which as u32), first_seen(end, window)..end))
    }
}

/// The gradients of a layer's parameters.
fn sums_of_layer(b: &Builder, layer: u32) -> Vec<Rows> {
    sums(b, |role_layer, _| role_layer == Some(layer))
}

/// The gradients of the parameters for which `is_meant` holds, each slice with its number in the model.
fn sums(b: &Builder, is_meant: impl Fn(Option<u32>, Role) -> bool) -> Vec<Rows> {
    let slices = b.program.parameters.iter().flat_map(|(id, parameter)| {
        let is_meant = is_meant(parameter.layer, parameter.role);
        b.program.slices(id).iter().map(move |slice| (slice.gradient, is_meant))
    });
    let of_slice = |(number, (gradient, is_meant)): (u32, (Option<TensorId>, bool))| {
        Some(Rows::whole(b, gradient.filter(|_| is_meant)?, About::Sums.tag(number)))
    };
    (0..).zip(slices).filter_map(of_slice).collect()
}

fn begin_sums(b: &mut Builder, split: &Split, sums: &[Rows]) {
    if split.is_last() {
        receive(b, 0, Batches::ButFirst, &returned(sums));
    } else {
        receive(b, split.rank() + 1, Batches::All, sums);
    }
}

/// `back` are the batches for which the sums go back to the last rank.
fn end_sums(b: &mut Builder, split: &Split, sums: &[Rows], back: Batches) {
    if split.rank() > 0 {
        send(b, split.rank() - 1, Batches::All, sums);
    } else {
        send(b, split.ranks() - 1, back, &returned(sums));
    }
}

fn returned(sums: &[Rows]) -> Vec<Rows> {
    sums.iter().map(|rows| Rows { tag: About::Returned.tag(rows.tag & 0xffff), ..*rows }).collect()
}

/// The gradients of the loss head: of the LM head, and of the norm before it.
fn sums_of_head(b: &Builder) -> [Vec<Rows>; 2] {
    let head = if b.config().tie_word_embeddings { Role::Embedding } else { Role::LmHead };
    [head, Role::FinalNorm].map(|meant| sums(b, |_, role| role == meant))
}

/// What the walk of the loss head begins with.
pub(super) fn begin_head(b: &mut Builder) {
    let of_head = sums_of_head(b).concat();
    exchange(b, Pass::Loss, "receive sums", |b, split| begin_sums(b, split, &of_head));
}

/// Hands on the sums of the loss head. Those of a tied head go on in the backward pass.
pub(super) fn end_head(b: &mut Builder) {
    let ([of_head, of_norm], is_tied) = (sums_of_head(b), b.config().tie_word_embeddings);
    exchange(b, Pass::Loss, "send sums", |b, split| {
        if !is_tied || split.rank() > 0 {
            end_sums(b, split, &of_head, Batches::ButLast);
        }
        end_sums(b, split, &of_norm, Batches::ButLast);
    });
}

/// With a tied head, its sums go back to the last rank, where the embedding's gradient goes on with them.
pub(super) fn return_tied_head(b: &mut Builder) {
    if b.config().tie_word_embeddings {
        let [of_head, _] = sums_of_head(b);
        exchange(b, Pass::Backward, "send sums", |b, split| {
            if split.rank() == 0 {
                send(b, split.ranks() - 1, Batches::All, &returned(&of_head));
            }
        });
    }
}

/// What the embedding's gradient begins with.
pub(super) fn begin_embedding(b: &mut Builder) {
    let (sums, is_tied) = (sums(b, |_, role| role == Role::Embedding), b.config().tie_word_embeddings);
    exchange(b, Pass::Backward, "receive sums", |b, split| {
        if is_tied && split.is_last() {
            receive(b, 0, Batches::All, &returned(&sums));
        } else {
            begin_sums(b, split, &sums);
        }
    });
}

/// Hands on the sums of the embedding's gradient.
pub(super) fn end_embedding(b: &mut Builder) {
    let sums = sums(b, |_, role| role == Role::Embedding);
    exchange(b, Pass::Backward, "send sums", |b, split| end_sums(b, split, &sums, Batches::ButLast));
}

/// Brings the log-probabilities of all labels to rank 0.
pub(super) fn log_probs_to_first(b: &mut Builder) {
    let log_probs = b.program.bindings.log_probs;
    exchange(b, Pass::Loss, "exchange log-probabilities", |b, split| {
        let (rank, share, all) = (split.rank(), split.share(), split.tokens());
        let rows = |first: u32| [Rows::of(log_probs, About::LogProbsDown.tag(0), first..all)];
        if !split.is_last() {
            receive(b, rank + 1, Batches::All, &rows(share.end));
        }
        if rank > 0 {
            send(b, rank - 1, Batches::All, &rows(share.first));
        }
    });
}

/// Brings the log-probabilities of all labels to all ranks.
pub(super) fn log_probs_to_all(b: &mut Builder) {
    let log_probs = b.program.bindings.log_probs;
    exchange(b, Pass::Loss, "exchange log-probabilities", |b, split| {
        pass_up(b, split, |end| [Rows::of(log_probs, About::LogProbsUp.tag(0), 0..end)]);
    });
    log_probs_to_first(b);
}

/// The tag of rank 0's requests for moments.
pub const MOMENT_REQUESTS: u32 = About::MomentRequests.tag(0);
/// The tag of the answers.
pub const MOMENTS: u32 = About::Moments.tag(0);

/// Brings the metrics to all ranks, and finished gradients to those that update with them.
pub(super) fn gradients_to_owners(b: &mut Builder) {
    let metrics = Rows::whole(b, b.program.bindings.metrics, About::Metrics.tag(0));
    let owned: Vec<(u32, Rows)> = of_trainable(b, About::Gradients, |slice| slice.gradient);
    exchange(b, Pass::Update, "exchange gradients", |b, split| {
        broadcast(b, split, 0, metrics);
        for &(owner, rows) in owned.iter().filter(|(owner, _)| *owner > 0) {
            if split.rank() == 0 {
                send(b, owner, Batches::All, &[rows]);
            } else if split.rank() == owner {
                receive(b, 0, Batches::All, &[rows]);
            }
        }
    });
}

/// Brings new weights to all ranks.
pub(super) fn weights_to_all(b: &mut Builder) {
    let weights = of_trainable(b, About::Weights, |slice| Some(slice.value));
    exchange(b, Pass::Update, "exchange weights", |b, split| weights.iter().for_each(|&(owner, rows)| broadcast(b, split, owner, rows)));
}

/// A tensor of each slice of all trainable parameters, with the rank that updates it.
fn of_trainable(b: &Builder, about: About, tensor: impl Fn(&super::ParameterSlice) -> Option<TensorId>) -> Vec<(u32, Rows)> {
    let of_parameter = |id: ParameterId, layer: Option<u32>| {
        let owner = b.program.batch.split().map_or(0, |split| split.owner(layer));
        b.program.slices(id).iter().map(move |slice| (owner, slice))
    };
    let slices = b.program.parameters.trainable().flat_map(|(id, parameter)| of_parameter(id, parameter.layer));
    (0..).zip(slices).filter_map(|(number, (owner, slice))| Some((owner, Rows::whole(b, tensor(slice)?, about.tag(number))))).collect()
}

/// From one rank to all others, each of which hands it on to the next.
fn broadcast(b: &mut Builder, split: &Split, from: u32, rows: Rows) {
    let (rank, ranks) = (split.rank(), split.ranks());
    let (before, next) = ((rank + ranks - 1) % ranks, (rank + 1) % ranks);
    if rank != from {
        receive(b, before, Batches::All, &[rows]);
    }
    if next != from {
        send(b, next, Batches::All, &[rows]);
    }
}
