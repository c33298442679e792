//! What frames a step: gradients set to zero before it, clipping and AdamW behind it, and whole programs.

use super::builder::{Builder, SQUARE_SUM_PARTIALS};
use super::{BatchShape, Kind, Op, Pass, Program, Rows, Strategy, TensorId, Walk, backward, forward, loss};
use crate::model::{Layout, Parameter, ParameterId};

/// What changes from step to step, as it lies in the tensor `settings`.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Settings {
    /// The learning rate of this step.
    pub learning_rate: f32,
    /// The decay of the first moment.
    pub beta1: f32,
    /// The decay of the second moment.
    pub beta2: f32,
    /// What keeps the denominator away from zero.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// The norm to which gradients are clipped.
    pub max_grad_norm: f32,
    /// `1 - beta1^step`.
    pub bias_correction1: f32,
    /// `1 - beta2^step`.
    pub bias_correction2: f32,
}

/// Where each number lies in the tensor `metrics`.
pub mod metrics {
    /// The loss, summed over the batches of a step.
    pub const LOSS: usize = 0;
    /// The gradient's norm before clipping.
    pub const GRAD_NORM: usize = 1;
    /// The factor that clips the gradient.
    pub const SCALE: usize = 2;
    /// 1 if the gradient is not finite and the update was left out.
    pub const NOT_FINITE: usize = 3;
}

impl Program {
    /// A whole step of training: gradients and AdamW.
    pub fn train(layout: impl Into<Layout>, batch: BatchShape, strategy: Strategy) -> Program {
        let mut b = Builder::new(layout, batch, strategy);
        b.add_gradients();
        b.add_moments();
        gradients(&mut b);
        update(&mut b);
        b.finish()
    }

    /// Loss and gradients alone.
    pub fn gradients(layout: impl Into<Layout>, batch: BatchShape, strategy: Strategy) -> Program {
        let mut b = Builder::new(layout, batch, strategy);
        b.add_gradients();
        gradients(&mut b);
        b.finish()
    }
}

fn gradients(b: &mut Builder) {
    clear(b);
    let left = forward::write(b);
    loss::write(b, left.hidden);
    backward::write(b, left);
}

fn clear(b: &mut Builder) {
    let mut targets: Vec<TensorId> = b.program.gradients.iter().flatten().map(|part| part.tensor).collect();
    targets.push(b.program.bindings.metrics);
    b.block(Pass::Clear, "clear gradients", Walk::Once, |b| targets.into_iter().for_each(|out| b.push(Op::Zero { out })));
}

/// What learns, part by part: its values, its gradient, its moments, and whether it is decayed.
struct Learner {
    weight: TensorId,
    gradient: TensorId,
    moments: [TensorId; 2],
    decay: bool,
}

/// Clipping by the norm of all gradients, then AdamW. As is customary, norms and biases are not decayed; matrices are.
fn update(b: &mut Builder) {
    let (settings, metrics) = (b.program.bindings.settings, b.program.bindings.metrics);
    let learners = learners(&b.program);
    b.block(Pass::Update, "update", Walk::Once, |b| {
        let partials = b.tensor("square_sums", Kind::Scratch, Rows::Fixed(learners.len() as u32), SQUARE_SUM_PARTIALS);
        for (slot, learner) in (0..).zip(&learners) {
            b.push(Op::SquareSum { x: learner.gradient, partials, slot });
        }
        b.push(Op::Clip { partials, settings, metrics });
        for &Learner { weight, gradient, moments: [moment1, moment2], decay } in &learners {
            b.push(Op::AdamW { gradient, settings, metrics, weight, moment1, moment2, decay });
        }
    });
}

fn learners(program: &Program) -> Vec<Learner> {
    let of_parameter = |(id, parameter): (ParameterId, &Parameter)| {
        let moments = program.moment(id, 0).iter().zip(program.moment(id, 1));
        let parts = program.weight(id).iter().zip(program.gradient(id)).zip(moments);
        let decay = parameter.rows.is_some();
        parts
            .map(|((weight, gradient), (first, second))| Learner {
                weight: weight.tensor,
                gradient: gradient.tensor,
                moments: [first.tensor, second.tensor],
                decay,
            })
            .collect::<Vec<Learner>>()
    };
    program.parameters.trained().flat_map(of_parameter).collect()
}
