//! What the worker does when it is told something, and between messages.

use std::rc::Rc;
use std::sync::Arc;

use futures_channel::mpsc::UnboundedReceiver;
use web_sys::Blob;

use super::event::Event;
use super::messages::{self, send};
use super::run_directory::RunDirectory;
use super::running::Running;
use super::state::Worker;
use super::waiting::Waiting;
use super::{benchmark, ceilings, dataset, inspect, keeping, saved_runs, self_check};
use crate::error::{Error, Result};
use crate::gpu::{Ceilings, Gpu};
use crate::step::{BatchShape, Granularity, Limits};
use crate::train::{self, Dataset, SelfCheck, Suggestion};
use crate::web::protocol::{FromWorker, Go, Run, ToWorker};

impl Worker {
    /// Serves until the worker ends.
    pub async fn serve(mut self, mut inbox: UnboundedReceiver<Event>) {
        // Before a visitor can start a run: it may be one of these that is to go on.
        self.list_saved().await;
        self.probe_storage().await;
        if let Err(error) = self.open().await {
            self.fail(&error);
        }
        loop {
            let at_full_speed = self.running.as_ref().is_some_and(|running| matches!(running.go, Some(Go::Continuous | Go::OneStep)));
            // Every step waits for the device once, and so lets messages in.
            let event = if at_full_speed { inbox.try_recv().ok() } else { inbox.recv().await.ok() };
            let outcome = match event {
                Some(Event::Message(message, files)) => self.handle(message, files).await,
                // It may have been replaced since then.
                Some(Event::Lost) if !self.is_lost() => Ok(()),
                Some(Event::Lost) => Err(Error::DeviceLost { reason: "it went away while nothing was running".to_owned() }),
                Some(Event::Tick) | None => self.advance().await,
                Some(Event::OpenAgain(attempts)) => {
                    self.open_again(attempts).await;
                    Ok(())
                }
                Some(Event::ListAgain) => {
                    self.lists_again = false;
                    self.list_saved().await;
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                Box::pin(self.recover(error)).await;
            }
        }
    }

    async fn handle(&mut self, message: ToWorker, mut files: Vec<Blob>) -> Result<()> {
        if let ToWorker::OpenRun(names, at_hand) = message {
            self.open_run(names, files, *at_hand).await;
            return Ok(());
        }
        let text = files.pop();
        match message {
            ToWorker::Begin(run, go) => self.begin(*run, text, go).await?,
            ToWorker::Continue(go) => self.go(go),
            ToWorker::Back(stride) => self.go_back(stride).await?,
            ToWorker::Pause => self.pause().await,
            ToWorker::Reset => {
                self.drop_run().await;
                // Before another run can be started, this one is in the list.
                self.list_saved().await;
                send(&FromWorker::WasReset);
            }
            ToWorker::Inspect(tensor) => {
                if let Some(running) = &self.running {
                    send(&FromWorker::Inspected(Box::new(inspect::view(&running.trainer, tensor).await?)));
                }
            }
            ToWorker::Attention { layer, head } => {
                if let Some(running) = &mut self.running {
                    let (pattern, texts) = running.attention(layer, head).await?;
                    send(&FromWorker::Looked(running.trainer.steps_done(), Box::new(pattern), texts));
                }
            }
            ToWorker::Compare(run) => {
                let (gpu, dataset) = (self.open_for(&run.spec).await?, self.dataset(&run, text).await?);
                benchmark::compare(&gpu, &run, &dataset, &self.models).await?;
            }
            ToWorker::Profile(run) => self.profile(&run, text).await?,
            ToWorker::Report => self.report().await?,
            ToWorker::Prove(run) => {
                let (gpu, dataset) = (self.open_for(&run.spec).await?, self.dataset(&run, text).await?);
                benchmark::prove(&gpu, &run, &dataset, &self.models).await?;
            }
            ToWorker::Search(run) => {
                let gpu = self.open().await?;
                self.kernels.search(&gpu, &run.spec).await?;
            }
            ToWorker::ModelWorker | ToWorker::SkipSearch => unreachable!("it is heard at once"),
            ToWorker::OpenRun(..) => unreachable!("it has more files than a text"),
            ToWorker::Export => self.export().await?,
            ToWorker::ExportRun => self.export_run().await?,
            ToWorker::Resume(id) => self.resume(&id).await?,
            ToWorker::Forget(id) => {
                let outcome = saved_runs::forget(&id).await;
                self.list_saved().await;
                outcome?;
            }
            ToWorker::ListSaved => self.list_saved().await,
            ToWorker::OpenNow => self.open_now().await,
        }
        Ok(())
    }

    async fn begin(&mut self, run: Run, text: Option<Blob>, go: Go) -> Result<()> {
        self.drop_run().await;
        let gpu = self.open().await?;
        if !self.is_checked {
            self.check(&gpu).await?;
        }
        match self.begun(&gpu, run.clone(), text.clone()).await {
            Ok(running) => {
                self.directory = Some(RunDirectory::new(text).await);
                self.take(running);
                self.go(go);
            }
            // The visitor has forgotten it: that is the next message.
            Err(Error::Stopped) => {}
            Err(error) => self.refuse(&error, suggestion(&error, &run, gpu.limits())),
        }
        Ok(())
    }

    async fn begun(&self, gpu: &Gpu, run: Run, text: Option<Blob>) -> Result<Running> {
        let gpu = self.kernels.for_run(gpu, &run.spec).await?;
        let dataset = self.dataset_to_train(&gpu, &run, text.as_ref()).await?;
        Running::begin(&gpu, run, dataset, &self.models, None).await
    }

    /// What a run is trained on, with what the reference says of it.
    pub(super) async fn dataset_to_train(&self, gpu: &Gpu, run: &Run, text: Option<&Blob>) -> Result<Arc<Dataset>> {
        let mut dataset = dataset::dataset(run, text, &self.models).await?;
        self.reference.ask(gpu, run, &mut dataset, &self.models).await?;
        Ok(Arc::new(dataset))
    }

    async fn resume(&mut self, id: &str) -> Result<()> {
        self.drop_run().await;
        if let Err(error) = self.resumed(id).await {
            self.drop_run().await;
            self.refuse(&error, None);
        }
        self.list_saved().await;
        Ok(())
    }

    async fn resumed(&mut self, id: &str) -> Result<()> {
        let gpu = self.open().await?;
        let (directory, saved) = RunDirectory::open(id).await?;
        self.directory = Some(directory);
        let (gpu, state) = (gpu.with_tuning(saved.tuning), Rc::new(saved.state));
        let dataset = self.dataset_to_train(&gpu, &saved.run, saved.text.as_ref()).await?;
        let running = Running::begin(&gpu, saved.run, dataset, &self.models, Some(state)).await?;
        let message = FromWorker::Resumed(Box::new(running.run.clone()), running.history.clone());
        messages::send_with_file(&message, saved.text.as_ref());
        self.take(running);
        self.pause().await;
        Ok(())
    }

    /// What a run is trained on: that of the run in progress, if it is the same.
    async fn dataset(&self, run: &Run, text: Option<Blob>) -> Result<Arc<Dataset>> {
        match self.running.as_ref().filter(|running| running.run.has_dataset_of(run)) {
            Some(running) => Ok(running.dataset()),
            None => Ok(Arc::new(dataset::dataset(run, text.as_ref(), &self.models).await?)),
        }
    }

    /// Lets the model worker give the visitor what the run has learned.
    async fn export(&mut self) -> Result<()> {
        let learned = match (&self.running, &self.waiting) {
            (Some(running), _) => Some(running.learned().await?),
            (None, waiting) => waiting.as_ref().and_then(Waiting::learned),
        };
        if let Some((request, bytes)) = learned {
            self.models.ask(request, &bytes, None).await?;
        }
        Ok(())
    }

    pub fn take(&mut self, running: Running) {
        let executor = running.trainer.executor();
        send(&FromWorker::Began {
            planned_bytes: executor.plan().peak_bytes(),
            created_bytes: executor.created_bytes(),
            read: running.dataset().summary(),
            longest: executor.program().batch.longest(),
            tuning: running.tuning(),
        });
        self.watch.run(Some(executor.instances_done()));
        self.running = Some(running);
        self.report_buffers();
    }

    pub fn go(&mut self, go: Go) {
        if let Some(waiting) = &mut self.waiting {
            waiting.go = Some(go);
        }
        let Some(running) = &mut self.running else { return };
        running.go = Some(go);
        if matches!(go, Go::Granularity(_) | Go::Slow(..)) {
            self.to_itself.unbounded_send(Event::Tick).expect("the worker listens to itself");
        }
    }

    pub async fn pause(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            waiting.go = None;
            return;
        }
        if let Some(running) = &mut self.running {
            running.go = None;
            self.save().await;
        }
        send(&FromWorker::Paused);
    }

    /// Goes back within a step that stands still.
    async fn go_back(&mut self, stride: Granularity) -> Result<()> {
        if let Some(running) = self.running.as_mut().filter(|running| running.go.is_none()) {
            running.go_back(stride).await?;
            running.tell_batch();
            send(&FromWorker::At(running.trainer.next_instance(), running.trainer.steps_done() + 1));
        }
        send(&FromWorker::Paused);
        Ok(())
    }

    /// Goes on as far as the run was told to go.
    async fn advance(&mut self) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let Some(go) = running.go else { return Ok(()) };
        let stride = match go {
            Go::Continuous | Go::OneStep => Granularity::Step,
            Go::Granularity(stride) | Go::Slow(stride, _) => stride,
        };
        self.watch.step(running.trainer.steps_done() + 1);
        let report = running.advance(stride).await?;
        self.watch.rest();
        running.tell_batch();
        send(&FromWorker::At(running.trainer.next_instance(), running.trainer.steps_done() + 1));
        if report.is_some() {
            if self.directory.as_ref().is_some_and(RunDirectory::is_due) {
                self.save().await;
            }
            self.measure_once().await?;
            self.report_buffers();
        }
        let is_over = self.running.as_ref().is_some_and(Running::is_over);
        match go {
            _ if is_over => self.pause().await,
            Go::Slow(_, per_second) => messages::wake_after(&self.to_itself, 1.0 / per_second.clamp(0.1, 1000.0), Event::Tick),
            Go::Granularity(_) | Go::OneStep => self.pause().await,
            Go::Continuous => {}
        }
        Ok(())
    }

    /// Tells what the device does at most, once, behind a step that has shown that it works.
    async fn measure_once(&mut self) -> Result<()> {
        let steps = self.running.as_ref().map_or(0, |running| running.trainer.steps_done());
        if steps >= 2 && self.ceilings.is_none() {
            self.ceilings().await?;
        }
        Ok(())
    }

    async fn ceilings(&mut self) -> Result<Ceilings> {
        if let Some(ceilings) = self.ceilings {
            return Ok(ceilings);
        }
        let ceilings = ceilings::measured(&self.open().await?).await?;
        Ok(*self.ceilings.insert(ceilings))
    }

    /// Sets every operation against what the device can do.
    async fn profile(&mut self, run: &Run, text: Option<Blob>) -> Result<()> {
        let (gpu, ceilings) = (self.open_for(&run.spec).await?, self.ceilings().await?);
        let profile = match &mut self.running {
            Some(running) => running.profile(ceilings).await?,
            None => benchmark::profile(&gpu, run, &*self.dataset(run, text).await?, &self.models, ceilings).await?,
        };
        send(&FromWorker::Profiled(Box::new(profile)));
        Ok(())
    }

    /// Checks whether gradients are the same bits on the device.
    async fn check(&mut self, gpu: &Gpu) -> Result<SelfCheck> {
        let found = self_check::check(gpu).await?;
        self.is_checked = true;
        Ok(found)
    }

    /// Reports on the device, which is checked anew.
    async fn report(&mut self) -> Result<()> {
        let gpu = self.open().await?;
        let check = self.check(&gpu).await?;
        let ceilings = self.ceilings().await?;
        send(&FromWorker::Reported(train::device_report(&gpu, &keeping::browser(), ceilings, &check).await?));
        Ok(())
    }
}

/// What would fit, if the run was too large. Where the device ran out of memory nobody knows how much it had, but it was
/// less than was asked for.
fn suggestion(error: &Error, run: &Run, limits: Limits) -> Option<Suggestion> {
    let budget = match error {
        Error::OverBudget { .. } | Error::BindingTooLarge { .. } => run.budget,
        Error::OutOfMemory { needed, .. } => run.budget.min(needed / 4 * 3),
        _ => return None,
    };
    let objective = run.settings.objective;
    let shape = BatchShape::uniform(run.settings.batch * objective.sequences(), run.settings.seq_len);
    train::suggestion(objective, &run.spec, &shape, run.settings.strategy, budget, limits)
}
