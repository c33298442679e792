//! A whole training step: clear, forward, loss, backward, update; or its loss alone.

use super::batch::BatchShape;
use super::builder::Builder;
use super::chunk::ChunkOrder;
use super::objective::Objective;
use super::ops::Zero;
use super::program::{Pass, Program};
use super::strategy::Strategy;
use super::tensor::TensorId;
use super::{backward, forward, loss, next_batch, roll_out, update};
use crate::model::ModelSpec;

impl Program {
    /// A program for a whole training step: loss, gradients and AdamW.
    pub fn train(spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Program {
        Program::train_for(Objective::CrossEntropy, spec, batch, strategy)
    }

    /// The same for any objective.
    ///
    /// # Panics
    /// If it compares pairs, and the batch has an odd number of sequences.
    pub fn train_for(objective: Objective, spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Program {
        let mut b = Builder::new(spec, batch, strategy);
        b.minimise(objective);
        let roll_out = objective.roll_out(b.program.batch.longest());
        roll_out.into_iter().for_each(|shape| roll_out::add_tensors(&mut b, shape));
        b.add_gradients();
        b.add_moments();
        gradients(&mut b);
        update::write(&mut b);
        if roll_out.is_some() {
            roll_out::write(&mut b);
        }
        b.finish()
    }

    /// A program for the loss and the gradients alone.
    pub fn gradients(spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Program {
        Program::gradients_for(Objective::CrossEntropy, spec, batch, strategy)
    }

    /// The same for any objective.
    ///
    /// # Panics
    /// If it compares pairs, and the batch has an odd number of sequences.
    pub fn gradients_for(objective: Objective, spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Program {
        let mut b = Builder::new(spec, batch, strategy);
        b.minimise(objective);
        b.add_gradients();
        gradients(&mut b);
        b.finish()
    }

    /// A program for the log-probabilities of the labels alone. Nothing is kept for a backward pass.
    pub fn evaluation(spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Program {
        Program::evaluation_at(1.0, spec, batch, strategy)
    }

    /// The same with logits that are divided by a temperature.
    pub fn evaluation_at(temperature: f64, spec: impl Into<ModelSpec>, batch: BatchShape, strategy: Strategy) -> Program {
        let mut b = Builder::new(spec, batch, strategy);
        b.temperature = temperature;
        b.add_loss();
        let hidden = forward::write(&mut b, 0).hidden;
        loss::write_log_probs(&mut b, hidden);
        b.finish()
    }
}

fn gradients(b: &mut Builder) {
    b.add_loss();
    clear(b);
    let layers_ahead = next_batch::layers_ahead(b);
    let state = forward::write(b, layers_ahead);
    let (prepared, taken_over) =
        loss::write(b, state.hidden, |b| (backward::prepare_ahead(b, &state), next_batch::begin(b, &state, layers_ahead)));
    backward::write(b, &state, prepared);
    next_batch::take_over(b, taken_over);
}

fn clear(b: &mut Builder) {
    let mut targets: Vec<TensorId> = b.program.slices.iter().flatten().filter_map(|slice| slice.gradient).collect();
    targets.push(b.program.bindings.metrics);
    b.block(Pass::Clear, "clear gradients", ChunkOrder::Whole, |b| targets.into_iter().for_each(|out| b.push(Zero { out, all: false })));
}
