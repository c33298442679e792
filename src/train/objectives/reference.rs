//! The reference of an objective: what a model that is not trained says of the labels.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Result;
use crate::gpu::{Executor, Gpu, Kernels};
use crate::model::{ModelSpec, Parameter, Role, WeightSource};
use crate::step::{Batch, Pass, Plan, Program, Strategy};

/// A weight source of adapters that change nothing: their second matrix is zero.
pub struct AdaptersOff<'a, S>(pub &'a S);

impl<S: WeightSource> WeightSource for AdaptersOff<'_, S> {
    async fn rows(&self, parameter: &Parameter, rows: Range<u32>) -> Result<Cow<'_, [f32]>> {
        match parameter.role {
            Role::LoraB(_) => Ok(Cow::Owned(vec![0.0; rows.len() * parameter.cols.size() as usize])),
            _ => self.0.rows(parameter, rows).await,
        }
    }
}

/// The log-probability of every label of a batch (N); 0 where it is ignored. Nothing of it stays on the device.
///
/// # Errors
/// Errors of the weight source and of the device; [`Error::BindingTooLarge`](crate::error::Error::BindingTooLarge).
pub async fn reference_log_probs(gpu: &Gpu, spec: &ModelSpec, values: &impl WeightSource, batch: &Batch) -> Result<Vec<f32>> {
    let program = Program::evaluation(spec, batch.shape.clone(), Strategy::default());
    let gpu = gpu.used_for("reference");
    let kernels = Kernels::new(&gpu, Plan::new(program, gpu.limits())?)?;
    let mut executor = Executor::new(kernels).await?;
    executor.load(values).await?;
    executor.load_batch(batch);
    executor.run(Pass::Forward..=Pass::Loss).await?;
    let log_probs = executor.read(executor.program().bindings.log_probs).await?;
    Ok(bytemuck::pod_collect_to_vec(&log_probs))
}
