//! The worker's side: holds the device and the run, does what the page says, reports what comes of it.

mod inspect;
mod kernels;
mod lab;
mod library;
mod post;
mod running;
mod store;

use futures_channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};
use web_time::Instant;

use super::protocol::{Device, FromWorker, Go, Run, ToWorker};
use super::wire;
use crate::error::{Error, Result};
use crate::gpu::{Ceilings, Gpu};
use crate::model::ModelSpec;
use crate::step::{BatchShape, Granularity, Limits};
use crate::train::{self, Suggestion};
use kernels::Kernels;
use library::Library;
use post::{Watch, tell};
use running::Running;
use store::Store;

/// Seconds within which a browser that is busy tells of a loss.
const LOSS_SECONDS: f64 = 5.0;

/// What wakes the worker.
enum Event {
    /// A message of the page's.
    Message(ToWorker),
    /// It is time for the next stride of slow motion.
    Tick,
    /// The device went away while nothing was asked of it.
    Lost,
}

/// Starts to listen.
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let (sender, inbox) = mpsc::unbounded();
    let to_itself = sender.clone();
    let library = Library::default();
    let lent = library.clone();
    let kernels = Kernels::default();
    let looked_for = kernels.clone();
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        match wire::unpack(&event.data()).0 {
            // At once: the worker may be waiting for a librarian that is gone, or for the end of a search.
            ToWorker::Librarian => lent.connect(event.ports().get(0).dyn_into().ok()),
            ToWorker::SkipSearch => looked_for.skip(),
            message => sender.unbounded_send(Event::Message(message)).expect("the worker never stops listening"),
        }
    });
    scope.set_onmessage(Some(receive.into_js_value().unchecked_ref()));
    let watch = Watch::start(to_itself.clone());
    let worker = Worker { gpu: None, running: None, library, kernels, ceilings: None, store: Store::default(), watch, to_itself };
    wasm_bindgen_futures::spawn_local(worker.serve(inbox));
}

struct Worker {
    gpu: Option<Gpu>,
    running: Option<Running>,
    library: Library,
    kernels: Kernels,
    /// What the device does at most, once that is known.
    ceilings: Option<Ceilings>,
    store: Store,
    watch: Watch,
    to_itself: UnboundedSender<Event>,
}

impl Worker {
    async fn serve(mut self, mut inbox: UnboundedReceiver<Event>) {
        if let Err(error) = self.open().await {
            self.fail(&error);
        }
        if let Some((run, step)) = self.store.describe().await {
            tell(&FromWorker::Saved(Box::new(run), step));
        }
        loop {
            let at_full_speed = self.running.as_ref().is_some_and(|running| matches!(running.go, Some(Go::On | Go::Once)));
            // Every step waits for the device once, and so lets messages in.
            let event = if at_full_speed { inbox.try_recv().ok() } else { inbox.recv().await.ok() };
            let outcome = match event {
                Some(Event::Message(message)) => self.obey(message).await,
                // It may have been replaced since then.
                Some(Event::Lost) if !self.is_lost() => Ok(()),
                Some(Event::Lost) => Err(Error::DeviceLost { reason: "it went away while nothing was running".to_owned() }),
                Some(Event::Tick) | None => self.advance().await,
            };
            if let Err(error) = outcome {
                self.mend(error).await;
            }
        }
    }

    async fn open(&mut self) -> Result<Gpu> {
        if let Some(gpu) = &self.gpu {
            return Ok(gpu.clone());
        }
        let gpu = Gpu::open(None).await?;
        let limits = gpu.limits();
        tell(&FromWorker::Ready(Device { name: gpu.name().to_owned(), max_buffer: limits.buffer, max_binding: limits.binding }));
        self.watch.device(Some(gpu.clone()));
        Ok(self.gpu.insert(gpu).clone())
    }

    /// The device with the kernels that were found for the model.
    async fn open_for(&mut self, spec: &ModelSpec) -> Result<Gpu> {
        let gpu = self.open().await?;
        Ok(self.kernels.found(&gpu, spec).await)
    }

    async fn obey(&mut self, message: ToWorker) -> Result<()> {
        match message {
            ToWorker::Begin(run, go) => self.begin(*run, go).await?,
            ToWorker::Continue(go) => self.go(go),
            ToWorker::Pause => self.pause().await,
            ToWorker::Reset => {
                self.drop_run();
                tell(&FromWorker::WasReset);
            }
            ToWorker::Inspect(tensor) => {
                if let Some(running) = &self.running {
                    tell(&FromWorker::Inspected(Box::new(inspect::view(&running.trainer, tensor).await?)));
                }
            }
            ToWorker::Attention { layer, head } => {
                if let Some(running) = &mut self.running {
                    let pattern = running.attention(layer, head).await?;
                    tell(&FromWorker::Looked(running.trainer.steps_done(), Box::new(pattern)));
                }
            }
            ToWorker::Compare(run) => lab::compare(&self.open_for(&run.spec).await?, &run, &self.library).await?,
            ToWorker::Profile(run) => self.profile(&run).await?,
            ToWorker::Prove(run) => lab::prove(&self.open_for(&run.spec).await?, &run, &self.library).await?,
            ToWorker::Search(run) => {
                let gpu = self.open().await?;
                self.kernels.search(&gpu, &run.spec).await?;
            }
            ToWorker::Librarian | ToWorker::SkipSearch => unreachable!("it is heard at once"),
            ToWorker::Export => {
                if let Some(running) = &self.running {
                    let (wish, bytes) = running.learned().await?;
                    self.library.ask(wish, &bytes).await?;
                }
            }
            ToWorker::Resume => self.resume().await?,
            ToWorker::Forget => {
                self.store.forget().await;
                tell(&FromWorker::Forgotten);
            }
        }
        Ok(())
    }

    async fn begin(&mut self, run: Run, go: Go) -> Result<()> {
        self.drop_run();
        let gpu = self.open().await?;
        match self.begun(&gpu, run.clone()).await {
            Ok(running) => self.take(running, go),
            Err(error) => self.refuse(&error, suggestion(&error, &run, gpu.limits())),
        }
        Ok(())
    }

    async fn begun(&self, gpu: &Gpu, run: Run) -> Result<Running> {
        let gpu = self.kernels.for_run(gpu, &run.spec).await?;
        Running::begin(&gpu, run, &self.library, None).await
    }

    async fn resume(&mut self) -> Result<()> {
        self.drop_run();
        let gpu = self.open().await?;
        let Some(saved) = self.store.load().await else {
            return Err(Error::Data("the saved run could not be read; start a new one".to_owned()));
        };
        let (gpu, history) = (gpu.with_tuning(saved.tuning), saved.history.clone());
        let running = Running::begin(&gpu, saved.run, &self.library, Some((saved.snapshot, saved.history))).await?;
        tell(&FromWorker::Resumed(Box::new(running.run.clone()), history));
        self.take(running, Go::On);
        self.pause().await;
        Ok(())
    }

    fn take(&mut self, running: Running, go: Go) {
        let executor = running.trainer.executor();
        tell(&FromWorker::Began { planned_bytes: executor.plan().peak_bytes(), created_bytes: executor.created_bytes() });
        self.watch.run(Some(executor.instances_done()));
        self.running = Some(running);
        self.go(go);
        self.report_buffers();
    }

    fn go(&mut self, go: Go) {
        let Some(running) = &mut self.running else { return };
        running.go = Some(go);
        if matches!(go, Go::Granularity(_) | Go::Slow(..)) {
            self.to_itself.unbounded_send(Event::Tick).expect("the worker listens to itself");
        }
    }

    async fn pause(&mut self) {
        if let Some(running) = &mut self.running {
            running.go = None;
            if running.trainer.next_instance() == 0 {
                self.store.save(running).await;
            }
        }
        tell(&FromWorker::Paused);
    }

    /// Goes on as far as the run was told to go.
    async fn advance(&mut self) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let Some(go) = running.go else { return Ok(()) };
        let stride = match go {
            Go::On | Go::Once => Granularity::Step,
            Go::Granularity(stride) | Go::Slow(stride, _) => stride,
        };
        self.watch.step(running.trainer.steps_done() + 1);
        let report = running.advance(stride).await?;
        self.watch.rest();
        tell(&FromWorker::At(running.trainer.next_instance(), running.trainer.steps_done() + 1));
        if report.is_some() {
            self.store.save_now_and_then(self.running.as_mut().expect("it was there")).await;
            self.measure_once().await?;
            self.report_buffers();
        }
        let is_over = self.running.as_ref().is_some_and(Running::is_over);
        match go {
            _ if is_over => self.pause().await,
            Go::Slow(_, per_second) => post::tick_after(&self.to_itself, 1.0 / per_second.clamp(0.1, 1000.0)),
            Go::Granularity(_) | Go::Once => self.pause().await,
            Go::On => {}
        }
        Ok(())
    }

    /// Tells what the device does at most, once, behind a step that has shown that it works.
    async fn measure_once(&mut self) -> Result<()> {
        let steps = self.running.as_ref().map_or(0, |running| running.trainer.steps_done());
        if steps >= 2 && self.ceilings.is_none() {
            tell(&FromWorker::Peak(self.ceilings().await?.gflops));
        }
        Ok(())
    }

    async fn ceilings(&mut self) -> Result<Ceilings> {
        if let Some(ceilings) = self.ceilings {
            return Ok(ceilings);
        }
        let ceilings = self.open().await?.ceilings().await?;
        Ok(*self.ceilings.insert(ceilings))
    }

    /// Sets every operation against what the device can do.
    async fn profile(&mut self, run: &Run) -> Result<()> {
        let (gpu, ceilings) = (self.open_for(&run.spec).await?, self.ceilings().await?);
        let profile = match &mut self.running {
            Some(running) => running.profile(ceilings).await?,
            None => lab::profile(&gpu, run, &self.library, ceilings).await?,
        };
        tell(&FromWorker::Peak(ceilings.gflops));
        tell(&FromWorker::Profiled(Box::new(profile)));
        Ok(())
    }

    /// Goes on from the last good state if the device was lost; says what is wrong otherwise.
    async fn mend(&mut self, error: Error) {
        // What a lost device breaks may be heard of before the loss itself.
        let heard = Instant::now();
        while matches!(error, Error::Device(_)) && !self.is_lost() && heard.elapsed().as_secs_f64() < LOSS_SECONDS {
            post::sleep(0.1).await;
        }
        let lost = match &error {
            Error::DeviceLost { reason } => reason.clone(),
            Error::Device(message) if self.is_lost() => message.clone(),
            _ => return self.fail(&error),
        };
        self.drop_device();
        let Some(running) = self.running.take() else {
            // Nothing was lost with it but the device itself.
            return match self.open().await {
                Ok(_) => tell(&FromWorker::Recovered { step: 0, reason: lost }),
                Err(error) => self.fail(&error),
            };
        };
        match self.begin_again(running, lost).await {
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
    }

    async fn begin_again(&mut self, lost: Running, reason: String) -> Result<()> {
        let (go, run, tuning, good) = (lost.go, lost.run.clone(), lost.tuning(), lost.last_good());
        let gpu = self.open().await?.with_tuning(tuning);
        let running = Running::begin(&gpu, run, &self.library, good).await?;
        let step = running.trainer.steps_done();
        let is_at_full_speed = matches!(go, Some(Go::On | Go::Once));
        self.take(running, go.unwrap_or(Go::Once));
        tell(&FromWorker::Recovered { step, reason });
        if !is_at_full_speed {
            self.pause().await;
        }
        Ok(())
    }

    /// Reports an error, and keeps the run if it is still good.
    fn fail(&mut self, error: &Error) {
        self.refuse(error, None);
    }

    fn refuse(&mut self, error: &Error, suggestion: Option<Suggestion>) {
        if matches!(error, Error::DeviceLost { .. } | Error::Device(_) | Error::OutOfMemory { .. }) {
            self.drop_run();
            self.drop_device();
        }
        self.running.iter_mut().for_each(|running| running.go = None);
        tell(&FromWorker::Failed { message: error.to_string(), run_survives: self.running.is_some(), suggestion });
    }

    fn drop_run(&mut self) {
        self.watch.run(None);
        self.running = None;
        self.report_buffers();
    }

    fn drop_device(&mut self) {
        self.watch.run(None);
        self.watch.device(None);
        self.gpu = None;
    }

    fn is_lost(&self) -> bool {
        self.gpu.as_ref().is_some_and(Gpu::is_lost)
    }

    fn report_buffers(&self) {
        let buffers = self.gpu.as_ref().map_or_else(Vec::new, Gpu::buffers);
        tell(&FromWorker::Buffers(buffers.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()));
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
    let shape = BatchShape::uniform(run.settings.batch, run.settings.seq_len);
    train::suggestion(&run.spec, &shape, run.settings.strategy, budget, limits)
}
