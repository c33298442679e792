//! The fastest kernels for the device and a model: looked for once, and kept in the browser's storage.

use std::cell::Cell;
use std::rc::Rc;

use super::keeping::{keep, kept};
use super::messages::send;
use crate::error::Result;
use crate::gpu::{Gpu, TunableOp, Tuning};
use crate::model::ModelSpec;
use crate::train::{tune, tuning_key};
use crate::web::protocol::FromWorker;

const FILE: &str = "kernels";

/// Finds kernels.
#[derive(Clone, Default)]
pub struct Kernels {
    is_skipped: Rc<Cell<bool>>,
}

impl Kernels {
    /// Ends the search that is going on, with what was found so far.
    pub fn skip(&self) {
        self.is_skipped.set(true);
    }

    /// The device with the kernels that were found for the model, if any were.
    pub async fn found(&self, gpu: &Gpu, spec: &ModelSpec) -> Gpu {
        let kept = kept(FILE, &tuning_key(gpu, spec)).await.unwrap_or_default();
        gpu.clone().with_tuning(kept.unwrap_or(*gpu.tuning()))
    }

    /// The same, and a search before if there was none yet. Drivers that run on a CPU compile slowly, and the kernels of their class were
    /// measured on them: there it is left to the visitor.
    pub async fn for_run(&self, gpu: &Gpu, spec: &ModelSpec) -> Result<Gpu> {
        if !gpu.tuning().is_for_cpu() && kept::<Tuning>(FILE, &tuning_key(gpu, spec)).await == Ok(None) {
            self.search(gpu, spec).await?;
        }
        Ok(self.found(gpu, spec).await)
    }

    /// Looks for the fastest kernels, and keeps them. What cannot be kept is not used: it might be another the next time.
    pub async fn search(&self, gpu: &Gpu, spec: &ModelSpec) -> Result<()> {
        self.is_skipped.set(false);
        let progress = |share| {
            send(&FromWorker::Searching(share));
            !self.is_skipped.get()
        };
        let tuning = tune(&gpu.used_for("search"), spec, progress).await?;
        keep(FILE, tuning_key(gpu, spec), tuning).await;
        let found = *self.found(gpu, spec).await.tuning();
        let differs = |tunable: &TunableOp| gpu.tuning().with(*tunable, &found) != *gpu.tuning();
        send(&FromWorker::Searched(TunableOp::ALL.iter().filter(|tunable| differs(tunable)).count(), found));
        Ok(())
    }
}
