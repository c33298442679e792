//! The worker's side: holds the device and the run, does what the page says, reports what comes of it.

use futures_channel::mpsc::{self, UnboundedReceiver};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::protocol::{Data, Device, FromWorker, Go, Run, ToWorker};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::{Config, Preset, Weights};
use crate::train::{Generator, RecallTask, Sampler, Source, Trainer};

/// Bytes of a sample, prompt included.
const SAMPLE_BYTES: u32 = 192;
const TEMPERATURE: f64 = 0.8;
const TOP_K: usize = 40;

/// Starts to listen.
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let (sender, inbox) = mpsc::unbounded();
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let text = event.data().as_string().expect("messages are texts");
        let message = serde_json::from_str(&text).expect("page and worker are of one build");
        sender.unbounded_send(message).expect("the worker never stops listening");
    });
    scope.set_onmessage(Some(receive.into_js_value().unchecked_ref()));
    wasm_bindgen_futures::spawn_local(Worker { scope, gpu: None, running: None }.serve(inbox));
}

struct Worker {
    scope: DedicatedWorkerGlobalScope,
    gpu: Option<Gpu>,
    running: Option<Running>,
}

/// A run with what it needs on the device.
struct Running {
    run: Run,
    config: Config,
    trainer: Trainer,
    /// Made for the first sample, and kept: a browser may be slow to give buffers back.
    generator: Option<Generator>,
    /// How far to go; `None` while it stands still.
    go: Option<Go>,
}

impl Worker {
    async fn serve(mut self, mut inbox: UnboundedReceiver<ToWorker>) {
        if let Err(error) = self.open().await {
            self.fail(&error);
        }
        loop {
            let is_going = self.running.as_ref().is_some_and(|running| running.go.is_some());
            // Every step waits for the device once, and so lets messages in.
            let message = if is_going { inbox.try_recv().ok() } else { inbox.recv().await.ok() };
            let outcome = match message {
                Some(message) => self.obey(message).await,
                None => self.advance().await,
            };
            if let Err(error) = outcome {
                self.fail(&error);
            }
        }
    }

    async fn open(&mut self) -> Result<Gpu> {
        if let Some(gpu) = &self.gpu {
            return Ok(gpu.clone());
        }
        let gpu = Gpu::open(None).await?;
        let limits = gpu.limits();
        self.tell(&FromWorker::Ready(Device { name: gpu.name().to_owned(), max_buffer: limits.buffer, max_binding: limits.binding }));
        Ok(self.gpu.insert(gpu).clone())
    }

    async fn obey(&mut self, message: ToWorker) -> Result<()> {
        match message {
            ToWorker::Begin(run, go) => {
                self.running = None;
                let gpu = self.open().await?;
                let running = Running::begin(&gpu, *run, go).await?;
                let executor = running.trainer.executor();
                self.tell(&FromWorker::Began { planned_bytes: executor.memory().peak_bytes(), created_bytes: executor.created_bytes() });
                self.running = Some(running);
            }
            ToWorker::Continue(go) => self.running.iter_mut().for_each(|running| running.go = Some(go)),
            ToWorker::Pause => self.pause(),
            ToWorker::Reset => {
                self.running = None;
                self.tell(&FromWorker::WasReset);
            }
        }
        Ok(())
    }

    fn pause(&mut self) {
        self.running.iter_mut().for_each(|running| running.go = None);
        self.tell(&FromWorker::Paused);
    }

    /// One step, and what is due behind it.
    async fn advance(&mut self) -> Result<()> {
        let running = self.running.as_mut().expect("only a run that goes advances");
        let report = running.trainer.step().await?;
        tell(&self.scope, &FromWorker::Stepped(report));
        let is_due = |every: u64| every > 0 && report.step.is_multiple_of(every);
        if is_due(running.run.validate_every) {
            let validation = running.trainer.validate().await?;
            tell(&self.scope, &FromWorker::Validated(report.step, validation));
        }
        // The recall task's sequences are no text: its answers are counted by the validation.
        if is_due(running.run.sample_every) && running.run.data != Data::Recall {
            let gpu = self.gpu.as_ref().expect("a run has a device");
            let text = running.sample(gpu, report.step).await?;
            tell(&self.scope, &FromWorker::Sampled(report.step, text));
        }
        if running.go == Some(Go::Once) || report.step == running.run.settings.steps {
            self.pause();
        }
        Ok(())
    }

    /// Reports an error, and keeps the run if it is still good.
    fn fail(&mut self, error: &Error) {
        if matches!(error, Error::DeviceLost { .. } | Error::Device(_) | Error::OutOfMemory { .. }) {
            self.running = None;
            self.gpu = None;
        }
        self.running.iter_mut().for_each(|running| running.go = None);
        self.tell(&FromWorker::Failed { message: error.to_string(), run_survives: self.running.is_some() });
    }

    fn tell(&self, message: &FromWorker) {
        tell(&self.scope, message);
    }
}

impl Running {
    async fn begin(gpu: &Gpu, run: Run, go: Go) -> Result<Self> {
        let preset = Preset::named(&run.preset).ok_or_else(|| Error::Setting(format!("there is no preset \"{}\"", run.preset)))?;
        let (config, settings) = (preset.config.clone(), run.settings.clone());
        let source = match &run.data {
            Data::OwnSource => Source::own(settings.seq_len)?,
            Data::Recall => Source::recall(RecallTask::default(), settings.seq_len)?,
            Data::Text(text) => Source::text(text.clone().into_bytes(), settings.seq_len)?,
        };
        let weights = Weights::init(&config, settings.seed);
        let trainer = Trainer::new(gpu, &config, settings, source, &weights).await?;
        Ok(Running { run, config, trainer, generator: None, go: Some(go) })
    }

    /// What the model writes behind the prompt.
    async fn sample(&mut self, gpu: &Gpu, step: u64) -> Result<String> {
        let mut bytes: Vec<u8> = self.run.prompt.bytes().take(SAMPLE_BYTES as usize / 2).collect();
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
        let generator = match &mut self.generator {
            Some(generator) => generator,
            none => none.insert(Generator::new(gpu, &self.config, SAMPLE_BYTES).await?),
        };
        generator.load_weights(&self.trainer.weights().await?);
        generator.start(&bytes.iter().map(|&byte| u32::from(byte)).collect::<Vec<_>>())?;
        let mut sampler = Sampler::new(TEMPERATURE, TOP_K, step);
        while bytes.len() < SAMPLE_BYTES as usize {
            bytes.push(generator.next(&mut sampler).await?.id as u8);
        }
        // Control characters look different in every browser, and some show nothing.
        let visible = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
        Ok(String::from_utf8_lossy(&bytes).chars().map(visible).collect())
    }
}

fn tell(scope: &DedicatedWorkerGlobalScope, message: &FromWorker) {
    let text = serde_json::to_string(message).expect("messages are plain data");
    scope.post_message(&JsValue::from_str(&text)).expect("texts can be posted");
}
