//! The beginning of the next batch, where a step accumulates the gradients of several on several ranks.
//!
//! A rank waits for those behind it: until they have done their loss heads, and the backward pass of their last layer. Meanwhile it goes through
//! the first layers of the next batch, and the last rank, which is done first, finds their keys and values there.

use super::builder::{Builder, TokenTensors};
use super::chunk::ChunkOrder;
use super::forward::{ForwardState, LayerInput, Widths, write_layer};
use super::message::Batches;
use super::ops::CopyRows;
use super::program::{NextBindings, Pass};
use super::saved_activations::SavedActivation;
use super::tensor::{Rows, TensorKind};
use crate::model::{Parameter, Role};

/// Forward passes of a layer that take as long as its backward pass, which recomputes it.
const FORWARD_PER_BACKWARD: u32 = 4;

/// Layers of the next batch that this rank goes through while it waits for those behind it: for their loss heads, and for the backward pass of
/// a layer on each. They leave nothing but the inputs of layers.
/// The tensors of the next batch are added, if there are such layers.
pub(super) fn layers_ahead(b: &mut Builder) -> u32 {
    let layers = layers_to_begin(b);
    if layers > 0 {
        b.add_next_batch();
    }
    layers
}

fn layers_to_begin(b: &Builder) -> u32 {
    let Some(split) = b.program.batch.split().filter(|split| split.accumulates()) else { return 0 };
    let (strategy, layers) = (&b.program.strategy, b.config().num_hidden_layers);
    let most = layers - 1;
    let saves = |layer| SavedActivation::ALL.iter().any(|&saved| strategy.saves(saved, layer, layers));
    let leaves_inputs_only = b.lowest_trainable_layer() == 0
        && !strategy.offloads()
        && b.layer_groups().iter().all(|group| group.len() == 1)
        && !(0..most).any(saves);
    if leaves_inputs_only { most.min(split.followers() * (FORWARD_PER_BACKWARD + head_in_layers(b))) } else { 0 }
}

/// The loss head in forward passes of a layer, by their matrices; nothing if it is frozen, since then no sums go through it.
fn head_in_layers(b: &Builder) -> u32 {
    let parameters = || b.program.parameters.iter().map(|(_, parameter)| parameter);
    let elements = |is_meant: &dyn Fn(&Parameter) -> bool| {
        parameters().filter(|p| p.rows.is_some() && is_meant(p)).map(Parameter::elements).sum::<usize>()
    };
    let role = if b.config().tie_word_embeddings { Role::Embedding } else { Role::LmHead };
    let head = elements(&|p| p.role == role && p.is_trainable);
    // Logits, and the gradients of weight and input.
    (3 * head / elements(&|p| p.layer == Some(0))) as u32
}

/// Appends the first layers of the forward pass of the step's next batch. Returns what that takes over before it begins.
pub(super) fn begin(b: &mut Builder, state: &ForwardState, layers_ahead: u32) -> Vec<CopyRows> {
    let Some(NextBindings { input_ids, segment_start }) = b.program.bindings.next else { return Vec::new() };
    let width = Widths::of(b.config()).hidden;
    let (mut input, mut taken_over) = (LayerInput::Embedding, Vec::new());
    for layer in 0..layers_ahead {
        let LayerInput::Kept(out) = state.inputs[layer as usize + 1] else { unreachable!("only inputs of layers are left") };
        let x = b.in_layer(layer + 1, |b| b.activation_tensor("next_input", TensorKind::LayerInputs, Rows::Tokens, width));
        b.with_tokens(TokenTensors { input_ids, origins: segment_start }, |b| {
            b.for_batches(Batches::ButLast, |b| b.in_layer(layer, |b| write_layer(b, Pass::Loss, (input, x), state.hidden)));
        });
        taken_over.push(CopyRows { x, out });
        input = LayerInput::Kept(x);
    }
    taken_over
}

/// Appends what the next batch takes over. Nothing may follow but the update.
pub(super) fn take_over(b: &mut Builder, copies: Vec<CopyRows>) {
    b.for_batches(Batches::ButLast, |b| {
        b.block(Pass::Backward, "take over layer inputs", ChunkOrder::Whole, |b| copies.into_iter().for_each(|copy| b.push(copy)));
    });
}

#[cfg(test)]
mod tests {
    use super::super::{BatchShape, Program, Split, Strategy};
    use super::*;
    use crate::model::PRESETS;

    /// Layers that a rank goes through ahead.
    fn layers_ahead(rank: u32, batches: u32, strategy: Strategy) -> usize {
        let split = Split::new(rank, vec![0, 128, 256, 300]).accumulating(batches);
        let program = Program::train(&PRESETS[1].config, BatchShape::uniform(1, 300).on_ranks(split), strategy);
        let count = |batches: Batches| program.blocks.iter().filter(|block| block.title == "forward" && block.batches == batches).count();
        assert_eq!(count(Batches::First), count(Batches::ButLast), "what is done ahead is not done again");
        count(Batches::First)
    }

    #[test]
    fn a_rank_goes_ahead_as_far_as_it_waits() {
        let strategy = Strategy::stream(64, 64);
        assert_eq!([0, 1, 2].map(|rank| layers_ahead(rank, 2, strategy)), [5, 4, 0]);
        assert_eq!(layers_ahead(0, 1, strategy), 0);
        // Whatever else the first batch leaves for its backward pass, the next would overwrite.
        let others = [strategy.saving("attention:2".parse().unwrap()), strategy.offloading(true), Strategy::STANDARD];
        assert_eq!(others.map(|strategy| layers_ahead(0, 2, strategy)), [0; 3]);
    }
}
