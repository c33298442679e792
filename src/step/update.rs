//! The update: gradient clipping by the global norm, and AdamW (Loshchilov & Hutter 2019).

use super::builder::{Builder, SQUARE_SUM_PARTIALS};
use super::chunk::ChunkOrder;
use super::exchange;
use super::ops::{AdamW, Clip, SquareSum};
use super::program::{ParameterSlice, Pass, Program};
use super::tensor::{Rows, TensorId, TensorKind};
use crate::model::{Parameter, ParameterId};

/// The hyperparameters of a step, in the layout of the tensor `adamw_params`.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct AdamWParams {
    /// The learning rate of this step.
    pub learning_rate: f32,
    /// The decay of the first moment.
    pub beta1: f32,
    /// The decay of the second moment.
    pub beta2: f32,
    /// ε, added to the denominator.
    pub epsilon: f32,
    /// The coefficient of decoupled weight decay.
    pub weight_decay: f32,
    /// The largest global gradient norm; larger gradients are scaled down to it.
    pub max_grad_norm: f32,
    /// `1 - beta1^step`.
    pub bias_correction1: f32,
    /// `1 - beta2^step`.
    pub bias_correction2: f32,
}

/// Indices in the tensor `metrics`.
pub mod metrics {
    /// The loss, summed over the batches of a step.
    pub const LOSS: usize = 0;
    /// The global gradient norm before clipping.
    pub const GRAD_NORM: usize = 1;
    /// The factor that clips the gradient.
    pub const SCALE: usize = 2;
    /// 1 if the gradient is not finite, in which case the update was skipped; otherwise 0.
    pub const NOT_FINITE: usize = 3;
}

/// A slice of a trainable parameter.
struct Trainable {
    weight: TensorId,
    gradient: TensorId,
    /// `None` if another rank updates it.
    moments: Option<[TensorId; 2]>,
    decay: bool,
}

/// Appends the update. As is customary, weight decay applies to matrices, not to norms and biases.
///
/// Where the batch lies on several ranks, the gradients are on the first, which finds the norm of all; then the ranks share the update.
pub fn write(b: &mut Builder) {
    let trainable = trainable(&b.program);
    if b.program.batch.split().is_none_or(|split| split.rank() == 0) {
        b.block(Pass::Update, "gradient norm", ChunkOrder::Whole, |b| norm(b, &trainable));
    }
    exchange::gradients_to_owners(b);
    let (adamw_params, metrics) = (b.program.bindings.adamw_params, b.program.bindings.metrics);
    b.block(Pass::Update, "update", ChunkOrder::Whole, |b| {
        for &Trainable { weight, gradient, moments, decay } in &trainable {
            if let Some([moment1, moment2]) = moments {
                b.push(AdamW { gradient, adamw_params, metrics, weight, moment1, moment2, decay });
            }
        }
    });
    exchange::weights_to_all(b);
}

/// The norm of the gradient of all parameters, and the factor that clips it.
fn norm(b: &mut Builder, trainable: &[Trainable]) {
    let (adamw_params, metrics) = (b.program.bindings.adamw_params, b.program.bindings.metrics);
    let slots: Vec<u32> = trainable.iter().map(|slice| slots(b.program.tensor(slice.gradient).elements())).collect();
    let partials = b.tensor("square_sums", TensorKind::Scratch, Rows::Fixed(slots.iter().sum()), SQUARE_SUM_PARTIALS);
    let mut slot = 0;
    for (slice, slots) in trainable.iter().zip(slots) {
        b.push(SquareSum { x: slice.gradient, partials, slot, slots });
        slot += slots;
    }
    b.push(Clip { partials, adamw_params, metrics });
}

/// Rows of partial sums for a gradient of that many elements: enough to give each thread of a GPU a few thousand of them.
fn slots(elements: u64) -> u32 {
    elements.div_ceil(1 << 20) as u32
}

fn trainable(program: &Program) -> Vec<Trainable> {
    let of_parameter = |(id, parameter): (ParameterId, &Parameter)| {
        let decay = parameter.rows.is_some();
        let slice =
            move |slice: &ParameterSlice| Some(Trainable { weight: slice.value, gradient: slice.gradient?, moments: slice.moments, decay });
        program.slices(id).iter().filter_map(slice).collect::<Vec<Trainable>>()
    };
    program.parameters.iter().flat_map(of_parameter).collect()
}
