//! What a reference says: of pairs of answers before the first step, of completions in each.

use std::cell::Cell;
use std::rc::Rc;

use super::messages::send;
use super::model_client::ModelClient;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::WeightSource;
use crate::step::Objective;
use crate::train::{AdaptersOff, Dataset, ReferenceModel, plan_within};
use crate::web::protocol::{FromWorker, Run};

/// Asks the reference, until the visitor forgets the run.
#[derive(Clone, Default)]
pub struct Reference {
    is_stopped: Rc<Cell<bool>>,
}

impl Reference {
    /// Asks no further.
    pub fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// Asks the model that a run starts from, without its adapters, of all pairs of its data, if it has pairs. The run gets its memory when
    /// that model has given its own back. A run that does not fit is refused before.
    pub async fn ask(&self, gpu: &Gpu, run: &Run, dataset: &mut Dataset, models: &ModelClient) -> Result<()> {
        run.settings.objective.check_data(dataset)?;
        if !dataset.has_pairs() {
            return Ok(());
        }
        let (settings, shape) = (&run.settings, run.settings.batch_shape(dataset));
        plan_within(settings.objective, &run.spec, &shape, settings.strategy, run.budget, gpu.limits())?;
        self.is_stopped.set(false);
        let values = models.first_values(run);
        let mut reference = ReferenceModel::new(gpu, settings.objective, &run.spec, &AdaptersOff(&values), &shape).await?;
        let progress = |done: usize, all: usize| {
            send(&FromWorker::AskingReference(done as u32, all as u32));
            if self.is_stopped.get() { Err(Error::Stopped) } else { Ok(()) }
        };
        dataset.precompute_ref_log_probs(&mut reference, settings.batch, progress).await
    }
}

/// The model that a run starts from, without its adapters, if the run compares its completions with it.
pub async fn of_completions(gpu: &Gpu, run: &Run, dataset: &Dataset, values: &impl WeightSource) -> Result<Option<ReferenceModel>> {
    let objective = run.settings.objective;
    if !matches!(objective, Objective::Grpo(grpo) if grpo.has_reference()) {
        return Ok(None);
    }
    let shape = run.settings.batch_shape(dataset);
    ReferenceModel::new(gpu, objective, &run.spec, &AdaptersOff(values), &shape).await.map(Some)
}
