//! What the worker has: the device, the run in progress, and how an error leaves them.

use futures_channel::mpsc::UnboundedSender;

use super::ceilings;
use super::event::Event;
use super::kernels::Kernels;
use super::messages::{Watch, send};
use super::model_client::ModelClient;
use super::reference::Reference;
use super::run_directory::RunDirectory;
use super::running::Running;
use super::self_check;
use super::waiting::Waiting;
use crate::error::{Error, Result};
use crate::gpu::{Ceilings, Gpu};
use crate::model::ModelSpec;
use crate::train::Suggestion;
use crate::web::protocol::{Device, FromWorker, SavedRun, Storage};

/// The device, the run, and what they need.
pub struct Worker {
    pub gpu: Option<Gpu>,
    pub running: Option<Running>,
    /// The run whose device was lost, until there is another device.
    pub waiting: Option<Waiting>,
    /// Where the run in progress is saved, with or without a device.
    pub directory: Option<RunDirectory>,
    /// What the page was told of the browser's storage, and of the runs in it.
    pub storage: Option<Storage>,
    pub saved: Option<Vec<SavedRun>>,
    /// Is it to look again soon?
    pub lists_again: bool,
    pub models: ModelClient,
    pub kernels: Kernels,
    pub reference: Reference,
    /// Is it known whether gradients are the same bits on the device?
    pub is_checked: bool,
    /// What the device does at most, once that is known.
    pub ceilings: Option<Ceilings>,
    pub watch: Watch,
    pub to_itself: UnboundedSender<Event>,
}

impl Worker {
    /// The device, which is opened if it is not there.
    pub async fn open(&mut self) -> Result<Gpu> {
        if let Some(gpu) = &self.gpu {
            return Ok(gpu.clone());
        }
        let gpu = Gpu::open(None).await?;
        let limits = gpu.limits();
        send(&FromWorker::Ready(Device {
            name: gpu.name().to_owned(),
            max_buffer: limits.buffer,
            max_binding: limits.binding,
            tuning: *gpu.tuning(),
        }));
        self.watch.device(Some(gpu.clone()));
        self.is_checked = self_check::tell(&gpu).await;
        self.ceilings = ceilings::known(&gpu).await;
        Ok(self.gpu.insert(gpu).clone())
    }

    /// The device with the kernels that were found for the model.
    pub async fn open_for(&mut self, spec: &ModelSpec) -> Result<Gpu> {
        let gpu = self.open().await?;
        Ok(self.kernels.found(&gpu, spec).await)
    }

    /// Reports an error, and keeps the run if it is still good.
    pub fn fail(&mut self, error: &Error) {
        match (error, &mut self.running) {
            (Error::NonFinite { step, what }, Some(running)) => {
                (running.go, running.has_diverged) = (None, true);
                let saved = self.directory.as_ref().and_then(RunDirectory::saved_step);
                send(&FromWorker::Diverged { step: *step, is_gradient: *what == "gradient", saved });
            }
            _ => self.refuse(error, None),
        }
    }

    pub fn refuse(&mut self, error: &Error, suggestion: Option<Suggestion>) {
        let run_survives = self.running.is_some() || self.waiting.is_some();
        // Whatever the device could not do, it has nothing that could be lost.
        if !run_survives && matches!(error, Error::DeviceLost { .. } | Error::Device(_) | Error::OutOfMemory { .. }) {
            self.drop_device();
        }
        self.running.iter_mut().for_each(|running| running.go = None);
        send(&FromWorker::Failed { message: error.to_string(), run_survives, suggestion });
    }

    /// Forgets the run in progress. What was saved of it stays.
    pub async fn drop_run(&mut self) {
        self.watch.run(None);
        (self.running, self.waiting) = (None, None);
        if let Some(directory) = self.directory.take() {
            directory.close().await;
        }
        self.report_buffers();
    }

    pub fn drop_device(&mut self) {
        self.watch.run(None);
        self.watch.device(None);
        self.gpu = None;
    }

    pub fn is_lost(&self) -> bool {
        self.gpu.as_ref().is_some_and(Gpu::is_lost)
    }

    pub fn report_buffers(&self) {
        let buffers = self.gpu.as_ref().map_or_else(Vec::new, Gpu::buffers);
        send(&FromWorker::Buffers(buffers.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()));
    }
}
