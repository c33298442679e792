//! The reference of an objective: what a model that is not trained says of the labels.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Result;
use crate::gpu::{Executor, Gpu, Kernels};
use crate::model::{ModelSpec, Parameter, Role, WeightSource};
use crate::step::{Batch, BatchShape, Objective, Pass, Plan, Program, Strategy};

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

/// A model on a device that says what it finds of labels. Nothing of it stays there when it is dropped.
pub struct ReferenceModel {
    executor: Executor,
}

impl ReferenceModel {
    /// For batches of that shape, and an objective, whose temperature its logits have, too.
    ///
    /// # Errors
    /// Errors of the weight source and of the device; [`Error::BindingTooLarge`](crate::error::Error::BindingTooLarge).
    pub async fn new(
        gpu: &Gpu,
        objective: Objective,
        spec: &ModelSpec,
        values: &impl WeightSource,
        shape: &BatchShape,
    ) -> Result<ReferenceModel> {
        let program = Program::evaluation_at(objective.temperature(), spec, shape.clone(), Strategy::default());
        let gpu = gpu.used_for("reference");
        let executor = Executor::new(Kernels::new(&gpu, Plan::new(program, gpu.limits())?)?).await?;
        executor.load(values).await?;
        Ok(ReferenceModel { executor })
    }

    /// The log-probability of every label of a batch (N); 0 where it is ignored.
    ///
    /// # Errors
    /// Errors of the device.
    pub async fn log_probs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        self.executor.load_batch(batch);
        self.executor.run(Pass::Forward..=Pass::Loss).await?;
        let log_probs = self.executor.read(self.executor.program().bindings.log_probs).await?;
        Ok(bytemuck::pod_collect_to_vec(&log_probs))
    }
}

/// A batch with what the model without its adapters says of its labels, where the objective asks.
///
/// # Errors
/// As [`ReferenceModel::new`].
pub async fn with_reference(gpu: &Gpu, objective: Objective, spec: &ModelSpec, values: &impl WeightSource, batch: Batch) -> Result<Batch> {
    let (has_old, has_ref) = match objective {
        Objective::CrossEntropy => (false, false),
        Objective::Dpo(_) => (false, true),
        Objective::Grpo(settings) => (settings.has_old_log_probs, settings.has_reference()),
    };
    if !has_old && !has_ref {
        return Ok(batch);
    }
    let log_probs = reference_log_probs(gpu, objective, spec, &AdaptersOff(values), &batch).await?;
    let only = |is_asked: bool| if is_asked { log_probs.clone() } else { Vec::new() };
    Ok(Batch { old_log_probs: only(has_old), ref_log_probs: only(has_ref), ..batch })
}

/// What a model says of the labels of one batch.
///
/// # Errors
/// As [`ReferenceModel::new`].
pub async fn reference_log_probs(
    gpu: &Gpu,
    objective: Objective,
    spec: &ModelSpec,
    values: &impl WeightSource,
    batch: &Batch,
) -> Result<Vec<f32>> {
    ReferenceModel::new(gpu, objective, spec, values, &batch.shape).await?.log_probs(batch).await
}
