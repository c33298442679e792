//! Verification: are the gradients of one batch bit-identical for every strategy and chunk length, and what is their error against f64?

use super::error_by_operation::{OperationError, relative_error};
use crate::error::Result;
use crate::gpu::{Executor, Gpu, Kernels, Transport};
use crate::model::{ActivationDtype, ModelSpec, Parameter, ParameterId, Parameters, WeightSource, Weights};
use crate::reference;
use crate::step::update::metrics;
use crate::step::{Batch, Objective, Pass, Plan, Program, Strategy};

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VerifyReport {
    /// Are loss and gradients of all runs bit-identical?
    pub same_bits: bool,
    /// All runs. The others are compared with the first.
    pub runs: Vec<RunReport>,
    /// All trainable parameters.
    pub parameters: Vec<ParameterReport>,
    /// What each kind of operation contributes to the error, if it was computed.
    pub by_operation: Vec<OperationError>,
}

/// One run: a strategy with its chunk lengths.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunReport {
    /// The strategy.
    pub strategy: String,
    /// The chunk length in the layers, in tokens.
    pub chunk: u32,
    /// The chunk length in the loss head, in tokens.
    pub logits_chunk: u32,
    /// Are chunks longer where that does not raise the peak?
    pub adaptive_chunks: bool,
    /// Layers of a group.
    #[serde(default = "one")]
    pub layer_group: u32,
    /// The activations that it saves in addition to layer inputs.
    pub saved_activations: String,
    /// The loss.
    pub loss: f64,
    /// Bytes of the device's buffers.
    pub peak_bytes: u64,
    /// Are loss and gradients bit-identical to those of the first run?
    pub same_bits: bool,
    /// The parameters whose gradients differ from the first run's.
    pub different: Vec<String>,
}

fn one() -> u32 {
    1
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ParameterReport {
    /// Its name.
    pub name: String,
    /// Is its gradient bit-identical in all runs?
    pub same_bits: bool,
    /// The relative error against f64, `‖g − g₆₄‖ / ‖g₆₄‖`, if it was computed.
    pub error: Option<f64>,
}

impl VerifyReport {
    /// Sets the relative errors of all parameters, as returned by [`errors_in_f64`].
    pub fn set_errors(&mut self, errors: &[f64]) {
        self.parameters.iter_mut().zip(errors).for_each(|(parameter, &error)| parameter.error = Some(error));
    }

    /// Sets what each kind of operation contributes to the errors, as returned by
    /// [`errors_by_operation`](super::errors_by_operation), and the errors of all parameters, which its last row has.
    pub fn set_errors_by_operation(&mut self, by_operation: Vec<OperationError>) {
        if let Some(all) = by_operation.last() {
            self.set_errors(&all.on_device.errors);
        }
        self.by_operation = by_operation;
    }
}

/// Computes the gradients of one batch with each plan. `progress` gets the numbers of completed runs and of all runs, before each run and
/// at the end. Returns the report and the gradients of the first run.
///
/// # Errors
/// What `progress` returns, such as [`Error::Stopped`](crate::error::Error::Stopped);
/// [`Error::OutOfMemory`](crate::error::Error::OutOfMemory) for one of the plans, errors of the weight source, or if the device was lost.
pub async fn verify(
    gpu: &Gpu,
    plans: Vec<Plan>,
    values: &impl WeightSource,
    batch: &Batch,
    progress: impl Fn(usize, usize) -> Result<()>,
) -> Result<(VerifyReport, Vec<Vec<f32>>)> {
    verify_on_ranks(gpu, plans, values, batch, progress, || None).await
}

/// The same where the batch of some plans lies on several ranks, to which `transport` is the way. The first rank has the report.
///
/// # Errors
/// As [`verify`], and if a rank cannot be reached.
pub async fn verify_on_ranks(
    gpu: &Gpu,
    plans: Vec<Plan>,
    values: &impl WeightSource,
    batch: &Batch,
    progress: impl Fn(usize, usize) -> Result<()>,
    transport: impl Fn() -> Option<Box<dyn Transport>>,
) -> Result<(VerifyReport, Vec<Vec<f32>>)> {
    verify_on(plans.into_iter().map(|plan| (gpu.clone(), plan)).collect(), values, batch, progress, transport).await
}

/// The same with a device for each plan.
///
/// # Errors
/// As [`verify`].
pub(super) async fn verify_on(
    plans: Vec<(Gpu, Plan)>,
    values: &impl WeightSource,
    batch: &Batch,
    progress: impl Fn(usize, usize) -> Result<()>,
    transport: impl Fn() -> Option<Box<dyn Transport>>,
) -> Result<(VerifyReport, Vec<Vec<f32>>)> {
    let parameters = plans[0].1.program().parameters.clone();
    let all = plans.len();
    let mut runs: Vec<RunReport> = Vec::new();
    let mut first = Vec::new();
    for (done, (gpu, plan)) in plans.into_iter().enumerate() {
        progress(done, all)?;
        let (mut run, gradients) = gradients(&gpu, plan, values, batch, transport()).await?;
        match runs.first() {
            Some(first_run) => compare(&mut run, &gradients, first_run, &first, &parameters),
            None => first = gradients,
        }
        runs.push(run);
    }
    progress(all, all)?;
    let report = |(_, parameter): (ParameterId, &Parameter)| ParameterReport {
        name: parameter.name.clone(),
        same_bits: runs.iter().all(|run| !run.different.contains(&parameter.name)),
        error: None,
    };
    let parameters = parameters.trainable().map(report).collect();
    let same_bits = runs.iter().all(|run| run.same_bits);
    Ok((VerifyReport { same_bits, runs, parameters, by_operation: Vec::new() }, first))
}

async fn gradients(
    gpu: &Gpu,
    plan: Plan,
    values: &impl WeightSource,
    batch: &Batch,
    transport: Option<Box<dyn Transport>>,
) -> Result<(RunReport, Vec<Vec<f32>>)> {
    let strategy = plan.program().strategy;
    let mut executor = Executor::new(Kernels::new(gpu, plan)?).await?;
    transport.into_iter().for_each(|transport| executor.connect(transport));
    executor.load(values).await?;
    executor.load_batch(batch);
    executor.run(Pass::GRADIENTS).await?;
    let loss = f64::from(executor.metrics().await?[metrics::LOSS]);
    let gradients = executor.gradients().await?;
    let tokens = batch.shape.tokens();
    let report = RunReport {
        strategy: strategy.kind.name().to_owned(),
        chunk: strategy.chunk(tokens),
        logits_chunk: strategy.logits_chunk(tokens),
        adaptive_chunks: strategy.has_adaptive_chunks(),
        layer_group: strategy.layer_group(executor.program().config().num_hidden_layers),
        saved_activations: strategy.saved_activations().to_string(),
        loss,
        peak_bytes: executor.created_bytes(),
        same_bits: true,
        different: Vec::new(),
    };
    Ok((report, gradients))
}

/// Records in a run's report how it differs from the first run.
fn compare(run: &mut RunReport, gradients: &[Vec<f32>], first_run: &RunReport, first: &[Vec<f32>], parameters: &Parameters) {
    let same_bits = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
    let differs = parameters.trainable().zip(gradients.iter().zip(first)).filter(|(_, (g, f))| !g.iter().zip(*f).all(same_bits));
    run.different = differs.map(|((_, parameter), _)| parameter.name.clone()).collect();
    run.same_bits = run.different.is_empty() && run.loss.to_bits() == first_run.loss.to_bits();
}

/// The relative error of the gradient of every trainable parameter, against the reference implementation in f64 on the CPU, which rounds
/// nothing, also where the device's activations are bf16.
pub fn errors_in_f64(objective: Objective, spec: &ModelSpec, weights: &Weights, batch: &Batch, gradients: &[Vec<f32>]) -> Vec<f64> {
    let spec = spec.clone().with_activation_dtype(ActivationDtype::F32);
    let program = Program::gradients_for(objective, spec, batch.planned_shape(), Strategy::STANDARD);
    let mut executor = reference::Executor::new(&program);
    executor.load_weights(weights);
    executor.load_batch(batch);
    executor.run(Pass::GRADIENTS);
    let exact = program.parameters.trainable().map(|(id, _)| executor.gradient(id));
    exact.zip(gradients).map(|(exact, gradient)| relative_error(gradient, &exact)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;

    fn report(loss: f64) -> RunReport {
        let strategy = Strategy::STANDARD.kind.name().to_owned();
        RunReport {
            strategy,
            chunk: 64,
            logits_chunk: 64,
            adaptive_chunks: false,
            layer_group: 1,
            saved_activations: String::new(),
            loss,
            peak_bytes: 0,
            same_bits: true,
            different: Vec::new(),
        }
    }

    #[test]
    fn what_differs_is_named() {
        let parameters = Parameters::new(&PRESETS[0].config);
        let first: Vec<Vec<f32>> = parameters.iter().map(|_| vec![0.0, 1.0]).collect();
        let compared = |loss, gradients: &[Vec<f32>]| {
            let mut run = report(loss);
            compare(&mut run, gradients, &report(2.0), &first, &parameters);
            (run.same_bits, run.different)
        };
        assert_eq!(compared(2.0, &first), (true, Vec::new()));
        assert_eq!(compared(2.0 + f64::EPSILON * 2.0, &first), (false, Vec::new()));
        let mut other = first.clone();
        // The same number with other bits.
        other[1][0] = -0.0;
        assert_eq!(compared(2.0, &other), (false, vec!["model.layers.0.input_layernorm.weight".to_owned()]));
    }
}
