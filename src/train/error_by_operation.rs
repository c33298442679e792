//! Where the error of the gradients comes from: each kind of operation in turn is computed on the device, all others in f64.
//!
//! The kind's operands are rounded to f32 for that, which alone costs accuracy. So each kind is also computed in f64 with only its operands
//! and results rounded: no operation on f32 can do better.

use std::cell::Cell;
use std::ops::Range;

use crate::error::Result;
use crate::gpu::{self, Gpu, Kernels};
use crate::model::{ActivationDtype, ModelSpec, Parameter, ParameterId, Parameters, Weights};
use crate::reference;
use crate::step::{Batch, Objective, Op, OpInstance, OpKind, ParameterSlice, Pass, Plan, Program, SavedActivations, Strategy, TensorId};

/// [`OperationError::operation`] of the row that has all operations in f32.
pub const ALL_OPERATIONS: &str = "all";

/// The error of the gradients if one kind of operation is computed in f32 and all others in f64.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OperationError {
    /// The kind of operation, or [`ALL_OPERATIONS`].
    pub operation: String,
    /// If it is computed on the device.
    pub on_device: GradientError,
    /// If only its operands and results are rounded to f32.
    pub rounded: GradientError,
}

/// The relative errors of the gradients of all trainable parameters.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GradientError {
    /// The largest one.
    pub worst: f64,
    /// The parameter that has it.
    pub worst_parameter: String,
    /// Their median.
    pub median: f64,
    /// The error of each parameter, `‖g − g₆₄‖ / ‖g₆₄‖`.
    pub errors: Vec<f64>,
}

impl GradientError {
    /// Of the errors of the trainable parameters.
    fn new(parameters: &Parameters, errors: Vec<f64>) -> Self {
        let mut named: Vec<(f64, &str)> =
            errors.iter().copied().zip(parameters.trainable().map(|(_, parameter)| parameter.name.as_str())).collect();
        // Of equal errors the first parameter's comes last.
        named.reverse();
        named.sort_by(|a, b| a.0.total_cmp(&b.0));
        let &(worst, name) = named.last().expect("there is a trainable parameter");
        let median = f64::midpoint(named[(named.len() - 1) / 2].0, named[named.len() / 2].0);
        GradientError { worst, worst_parameter: name.to_owned(), median, errors }
    }
}

/// `‖values − exact‖ / ‖exact‖`, or the distance if `exact` is zero.
pub(super) fn relative_error<V: Copy + Into<f64>>(values: &[V], exact: &[f64]) -> f64 {
    let norm = exact.iter().map(|e| e * e).sum::<f64>().sqrt();
    let distance = values.iter().zip(exact).map(|(&v, e)| (v.into() - e).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 { distance } else { distance / norm }
}

/// Computes the gradients of one batch with each kind of operation in turn on the device, and with its operands and results rounded, all
/// others in f64. The kind with the largest error on the device comes first, [`ALL_OPERATIONS`] last. `progress` gets the numbers of
/// completed and of all operations, before each operation.
///
/// # Errors
/// What `progress` returns, such as [`Error::Stopped`](crate::error::Error::Stopped); errors of the plan and of the device.
pub async fn errors_by_operation(
    gpu: &Gpu,
    objective: Objective,
    spec: &ModelSpec,
    weights: &Weights,
    batch: &Batch,
    progress: impl Fn(usize, usize) -> Result<()>,
) -> Result<Vec<OperationError>> {
    let mut step = MixedStep::new(gpu, objective, spec, weights, batch).await?;
    let kinds = step.kinds();
    // In f64, each kind in two ways, and all of them rounded.
    let all = step.instances.len() * (2 * kinds.len() + 2);
    let done = Cell::new(0);
    let progress = || progress(done.replace(done.get() + 1), all);
    step.run_exactly(progress)?;
    let mut rows = Vec::new();
    for kind in kinds {
        step.run_in_f32(|other| other == kind, Precision::Device, progress).await?;
        let on_device = step.error();
        step.run_in_f32(|other| other == kind, Precision::Rounded, progress).await?;
        rows.push(OperationError { operation: kind.stem().to_owned(), on_device, rounded: step.error() });
    }
    rows.sort_by(|a, b| b.on_device.worst.total_cmp(&a.on_device.worst));
    step.run_in_f32(|_| true, Precision::Rounded, progress).await?;
    let rounded = step.error();
    rows.push(OperationError { operation: ALL_OPERATIONS.to_owned(), on_device: step.error_of_device().await?, rounded });
    Ok(rows)
}

/// How an operation in f32 is computed.
#[derive(Clone, Copy)]
enum Precision {
    /// On the device.
    Device,
    /// In f64, with operands and results rounded to f32.
    Rounded,
}

/// What an instance writes into a tensor in f64.
struct Written {
    tensor: TensorId,
    /// `None` if all is zero, as gradients are at first: they would take as much memory again.
    values: Option<Vec<f64>>,
}

impl Written {
    fn read(reference: &reference::Executor, tensor: TensorId) -> Self {
        let values = reference.read(tensor);
        Written { tensor, values: values.iter().any(|value| value.to_bits() != 0).then(|| values.to_vec()) }
    }

    fn write(&self, reference: &mut reference::Executor) {
        match &self.values {
            Some(values) => reference.write_f64(self.tensor, values),
            None => reference.write_f64(self.tensor, &vec![0.0; reference.read(self.tensor).len()]),
        }
    }

    /// Does the tensor hold these bits?
    fn is_in(&self, reference: &reference::Executor) -> bool {
        let found: &[u64] = bytemuck::cast_slice(reference.read(self.tensor));
        match &self.values {
            Some(values) => found == bytemuck::cast_slice::<f64, u64>(values),
            None => found.iter().all(|&bits| bits == 0),
        }
    }
}

/// A step that computes some operations in f32 and the others in f64.
struct MixedStep {
    program: Program,
    numbers: Range<u64>,
    instances: Vec<OpInstance>,
    /// For each tensor: does an operation write it? The others are inputs, which both executors hold.
    is_computed: Vec<bool>,
    reference: reference::Executor,
    device: gpu::Executor,
    /// What each instance writes in f64.
    exact: Vec<Vec<Written>>,
}

impl MixedStep {
    async fn new(gpu: &Gpu, objective: Objective, spec: &ModelSpec, weights: &Weights, batch: &Batch) -> Result<Self> {
        let tokens = batch.shape.tokens();
        // One chunk, and nothing is computed twice but logits that exceed a binding.
        let strategy = Strategy::stream(tokens, tokens).saving(SavedActivations::ALL);
        // Its question is what kernels lose. Where activations are rounded, that would be lost in what rounding does.
        let spec = spec.clone().with_activation_dtype(ActivationDtype::F32);
        let program = Program::gradients_for(objective, spec, batch.planned_shape(), strategy);
        let mut device = gpu::Executor::new(Kernels::new(gpu, Plan::new(program.clone(), gpu.limits())?)?).await?;
        device.load(weights).await?;
        // Operations of the reference, which leaves nothing out, go on with what the device has done.
        device.load_batch_in_full(batch);
        let mut reference = reference::Executor::new(&program);
        reference.load_weights(weights);
        reference.load_batch(batch);
        let numbers = program.span(Pass::GRADIENTS);
        let instances: Vec<OpInstance> = program.instances(numbers.clone()).collect();
        let mut is_computed = vec![false; program.tensors.len()];
        let ops = instances.iter().map(|instance| program.op(instance.block, instance.node));
        ops.flat_map(Op::written).for_each(|id| is_computed[id.0 as usize] = true);
        Ok(MixedStep { program, numbers, instances, is_computed, reference, device, exact: Vec::new() })
    }

    /// The kinds of the step's operations.
    fn kinds(&self) -> Vec<OpKind> {
        let ops = || self.instances.iter().map(|instance| self.program.op(instance.block, instance.node));
        OpKind::ALL.iter().copied().filter(|&kind| ops().any(|op| op.kind() == kind)).collect()
    }

    /// The errors of the gradients in f64.
    fn error(&self) -> GradientError {
        let error = |(id, _): (ParameterId, &Parameter)| relative_error(&self.reference.gradient(id), &self.exact_gradient(id));
        GradientError::new(&self.program.parameters, self.program.parameters.trainable().map(error).collect())
    }

    /// The errors of the gradients with all operations on the device.
    async fn error_of_device(&mut self) -> Result<GradientError> {
        self.device.run(Pass::GRADIENTS).await?;
        let gradients = self.device.gradients().await?;
        let trainable = self.program.parameters.trainable().zip(gradients);
        let errors = trainable.map(|((id, _), gradient)| relative_error(&gradient, &self.exact_gradient(id))).collect();
        Ok(GradientError::new(&self.program.parameters, errors))
    }

    /// The gradient of a parameter with all operations in f64, without padding.
    fn exact_gradient(&self, id: ParameterId) -> Vec<f64> {
        let gradient = |slice: &ParameterSlice| {
            let tensor = slice.gradient.expect("the parameter is trainable");
            let last = self.exact.iter().rev().flatten().find(|written| written.tensor == tensor).expect("gradients are cleared first");
            last.values.clone().unwrap_or_else(|| vec![0.0; self.program.tensor(tensor).elements() as usize])
        };
        let padded: Vec<f64> = self.program.slices(id).iter().flat_map(gradient).collect();
        self.program.parameters.get(id).unpad(&padded)
    }

    /// Runs all operations in f64 and remembers what they write.
    fn run_exactly(&mut self, progress: impl Fn() -> Result<()>) -> Result<()> {
        for &instance in &self.instances {
            progress()?;
            self.reference.run_instance(instance);
            let written = self.program.op(instance.block, instance.node).written();
            self.exact.push(written.map(|tensor| Written::read(&self.reference, tensor)).collect());
        }
        Ok(())
    }

    /// Runs some kinds of operations in f32 and the others in f64. What is known to give the exact results is not computed again.
    async fn run_in_f32(
        &mut self,
        is_in_f32: impl Fn(OpKind) -> bool,
        precision: Precision,
        progress: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let mut differs = vec![false; self.program.tensors.len()];
        for index in 0..self.instances.len() {
            progress()?;
            let instance = self.instances[index];
            let op = self.program.op(instance.block, instance.node);
            let has_other_operands = op.operands().iter().any(|operand| differs[operand.tensor.0 as usize]);
            if is_in_f32(op.kind()) {
                self.run_instance_in_f32(index, precision).await?;
            } else if has_other_operands {
                self.reference.run_instance(instance);
            } else {
                self.exact[index].iter().for_each(|written| written.write(&mut self.reference));
                continue;
            }
            for written in &self.exact[index] {
                differs[written.tensor.0 as usize] = !written.is_in(&self.reference);
            }
        }
        Ok(())
    }

    /// Runs an instance in f32, between tensors in f64: it reads rounded values, and what it does not change keeps its f64.
    async fn run_instance_in_f32(&mut self, index: usize, precision: Precision) -> Result<()> {
        let op = self.program.op(self.instances[index].block, self.instances[index].node);
        let computed = op.operands().into_iter().filter(|operand| self.is_computed[operand.tensor.0 as usize]);
        let before: Vec<(TensorId, Vec<f64>)> =
            computed.map(|operand| (operand.tensor, self.reference.read(operand.tensor).to_vec())).collect();
        match precision {
            Precision::Device => {
                before.iter().for_each(|(id, values)| self.device.write(*id, bytemuck::cast_slice(&rounded(values))));
                let number = self.numbers.start + index as u64;
                self.device.run_instances(number..number + 1).await?;
            }
            Precision::Rounded => {
                before.iter().for_each(|(id, values)| self.reference.write_f64(*id, &widened(&rounded(values))));
                self.reference.run_instance(self.instances[index]);
            }
        }
        for (id, before) in before {
            let after = match precision {
                Precision::Device => bytemuck::pod_collect_to_vec(&self.device.read(id).await?),
                Precision::Rounded => rounded(self.reference.read(id)),
            };
            self.reference.write_f64(id, &changed(&before, &after));
        }
        Ok(())
    }
}

/// Where an operation changed the rounded values: what it wrote. Elsewhere: the values as they were.
fn changed(before: &[f64], after: &[f32]) -> Vec<f64> {
    let value = |(&before, &after): (&f64, &f32)| if (before as f32).to_bits() == after.to_bits() { before } else { f64::from(after) };
    before.iter().zip(after).map(value).collect()
}

fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;

    #[test]
    fn what_an_operation_does_not_change_keeps_its_f64() {
        let third = 1.0 / 3.0;
        let before = [third, third, f64::NAN, 0.0];
        let after = changed(&before, &[third as f32, 0.5, f32::NAN, -0.0]);
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
        assert_eq!(bits(&after), bits(&[third, 0.5, f64::NAN, -0.0]));
    }

    #[test]
    fn the_worst_parameter_is_named() {
        let mut config = PRESETS[0].config.clone();
        config.num_hidden_layers = 0;
        let parameters = Parameters::new(&config);
        let names: Vec<&str> = parameters.trainable().map(|(_, parameter)| parameter.name.as_str()).collect();
        assert_eq!(names.len(), 2);
        let error = |errors: [f64; 2]| GradientError::new(&parameters, errors.to_vec());
        let found = error([0.25, 0.75]);
        assert_eq!((found.worst, found.worst_parameter.as_str(), found.median), (0.75, names[1], 0.5));
        assert_eq!(error([0.0, 0.0]).worst_parameter, names[0]);
        assert!(error([f64::NAN, 0.5]).worst.is_nan(), "what is no number is the worst");
    }

    #[test]
    fn errors_are_relative_unless_there_is_nothing() {
        assert_eq!(relative_error(&[3.0f32, 4.5], &[3.0, 4.0]), 0.1);
        assert_eq!(relative_error(&[0.5f64], &[0.0]), 0.5);
        assert!(relative_error(&[f32::NAN], &[1.0]).is_nan());
    }
}
