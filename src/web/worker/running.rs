//! A run with what it needs on the device.

use web_time::Instant;

use super::library::{FirstValues, Library};
use super::post::tell;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::{Parameters, WithAdapters};
use crate::step::{BatchShape, Stride};
use crate::train::{
    AttentionPattern, CopyTask, Generator, RecallTask, Sampled, Sampler, Snapshot, SortTask, Source, StepReport, SumTask, Task, Trainer,
    within_budget,
};
use crate::web::library::{Origin, Wish};
use crate::web::protocol::{Data, FromWorker, Go, History, Run, Sample, TaskKind};

/// Bytes of a sample, prompt included.
const SAMPLE_BYTES: u32 = 192;
const TEMPERATURE: f64 = 0.8;
const TOP_K: usize = 40;
/// Seconds between states to go back to.
const GOOD_STATE_SECONDS: f64 = 4.0;

/// A run in progress.
pub struct Running {
    pub run: Run,
    pub trainer: Trainer,
    pub history: History,
    /// How to go; `None` while it stands still.
    pub go: Option<Go>,
    gpu: Gpu,
    values: FirstValues,
    /// Made for the first sample, and kept.
    generator: Option<Generator>,
    good: Option<(Snapshot, History)>,
    good_since: Instant,
}

impl Running {
    /// Plans, allocates and compiles a run, and goes back to a state of it, if there is one.
    pub async fn begin(gpu: &Gpu, run: Run, library: &Library, state: Option<(Snapshot, History)>) -> Result<Self> {
        let settings = run.settings.clone();
        let source = source(&run.data, settings.seq_len)?;
        let shape = BatchShape::uniform(settings.batch, source.seq_len());
        within_budget(&run.layout, &shape, settings.strategy, run.budget, gpu.limits())?;
        let values = library.first_values(&run);
        let trainer = match &state {
            None => Trainer::new(gpu, &run.layout, settings, source, &values).await?,
            // What learns is in the state, so that of a model all of which learns nothing else is needed.
            Some((snapshot, _)) if run.layout.adapters().is_none() => {
                Trainer::new(gpu, &run.layout, settings, source, &snapshot.weights).await?
            }
            Some((snapshot, _)) => {
                let values = WithAdapters { base: &values, adapters: &snapshot.weights };
                Trainer::new(gpu, &run.layout, settings, source, &values).await?
            }
        };
        let (gpu, history, good_since) = (gpu.clone(), History::default(), Instant::now());
        let mut running = Running { run, trainer, history, go: None, gpu, values, generator: None, good: None, good_since };
        if let Some((snapshot, history)) = state {
            snapshot.check_run("of this run", &running.trainer.run_id())?;
            running.trainer.restore(&snapshot).await?;
            running.history = history.clone();
            running.good = Some((snapshot, history));
        }
        Ok(running)
    }

    /// What it has learned, for the librarian to pack.
    pub async fn learned(&self) -> Result<(Wish, Vec<u8>)> {
        let weights = self.trainer.weights().await?;
        let parameters = Parameters::new(&self.run.layout);
        let bytes =
            parameters.trained().flat_map(|(_, parameter)| bytemuck::cast_slice::<f32, u8>(weights.get(&parameter.name)).iter().copied());
        let base = self.run.start.origin().map_or("", Origin::name).to_owned();
        Ok((Wish::Pack(self.trainer.steps_done(), Box::new(self.run.layout.clone()), base), bytes.collect()))
    }

    /// The last state that is known to be good.
    pub fn last_good(self) -> Option<(Snapshot, History)> {
        self.good
    }

    /// Are all its steps done?
    pub fn is_over(&self) -> bool {
        self.trainer.next_turn() == 0 && self.trainer.steps_done() >= self.run.settings.steps
    }

    /// The run's state behind its last step.
    pub async fn state(&mut self) -> Result<&(Snapshot, History)> {
        let snapshot = self.trainer.snapshot().await?;
        self.good_since = Instant::now();
        Ok(self.good.insert((snapshot, self.history.clone())))
    }

    /// One stride, and behind a step what is due.
    pub async fn advance(&mut self, stride: Stride) -> Result<Option<StepReport>> {
        let Some(report) = self.trainer.advance(stride).await? else { return Ok(None) };
        self.history.steps.push(report);
        tell(&FromWorker::Stepped(report));
        let is_due = |every: u64| every > 0 && report.step.is_multiple_of(every);
        if is_due(self.run.validate_every) {
            let validation = self.trainer.validate().await?;
            self.history.validations.push((report.step, validation));
            tell(&FromWorker::Validated(report.step, validation));
        }
        // A generated task's sequences are no text: its answers are counted by the validation.
        if is_due(self.run.sample_every) && !matches!(self.run.data, Data::Task(..)) {
            let sample = self.sample(report.step).await?;
            tell(&FromWorker::Sampled(report.step, sample));
        }
        if self.good.is_none() || self.good_since.elapsed().as_secs_f64() > GOOD_STATE_SECONDS {
            self.state().await?;
        }
        Ok(Some(report))
    }

    /// Where a head looks.
    pub async fn attention(&mut self, layer: u32, head: u32) -> Result<AttentionPattern> {
        if self.trainer.next_turn() > 0 {
            let what = "a step is under way, and looking at attention would undo it; go on to its end first";
            return Err(Error::Setting(what.to_owned()));
        }
        self.trainer.attention(layer, head).await
    }

    /// What the model writes behind the prompt.
    async fn sample(&mut self, step: u64) -> Result<Sample> {
        let mut prompt: Vec<u8> = self.run.prompt.bytes().take(SAMPLE_BYTES as usize / 2).collect();
        if prompt.is_empty() {
            prompt.push(b'\n');
        }
        let weights = self.trainer.weights().await?;
        let generator = match &mut self.generator {
            Some(generator) => generator,
            none => {
                let mut generator = Generator::new(&self.gpu.used_for("samples"), &self.run.layout, SAMPLE_BYTES).await?;
                if self.run.layout.adapters().is_some() {
                    generator.load(&WithAdapters { base: &self.values, adapters: &weights }).await?;
                }
                none.insert(generator)
            }
        };
        generator.load_trained(&weights).await?;
        generator.start(&prompt.iter().map(|&byte| u32::from(byte)).collect::<Vec<_>>())?;
        let mut sampler = Sampler::new(TEMPERATURE, TOP_K, step);
        let mut written = Vec::new();
        for _ in prompt.len()..SAMPLE_BYTES as usize {
            written.push(generator.next(&mut sampler).await?);
        }
        Ok(Sample { prompt: String::from_utf8_lossy(&prompt).into_owned(), written: characters(&written) })
    }
}

/// What a run learns from.
pub fn source(data: &Data, seq_len: u32) -> Result<Source> {
    match data {
        Data::OwnSource => Source::own(seq_len),
        Data::Text(text) => Source::text(text.clone().into_bytes(), seq_len),
        Data::Task(kind, distance) => Source::task(task(*kind, *distance), seq_len),
    }
}

fn task(kind: TaskKind, distance: u32) -> Task {
    match kind {
        TaskKind::Recall => Task::Recall(RecallTask::default()),
        TaskKind::Copy => Task::Copy(CopyTask { distance }),
        TaskKind::Sort => Task::Sort(SortTask { distance }),
        TaskKind::Sum => Task::Sum(SumTask { distance }),
    }
}

/// Bytes as characters; a character has the probability of all its bytes.
fn characters(written: &[Sampled]) -> Vec<(String, f32)> {
    let bytes: Vec<u8> = written.iter().map(|sampled| sampled.id as u8).collect();
    let mut characters = Vec::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        let broken = (!chunk.invalid().is_empty()).then_some((char::REPLACEMENT_CHARACTER, chunk.invalid().len()));
        for (c, length) in valid.chain(broken) {
            let probability: f32 = written[at..at + length].iter().map(|sampled| sampled.probability).product();
            at += length;
            // Control characters look different in every browser, and some show nothing.
            let visible = if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
            characters.push((visible.to_string(), if probability.is_finite() { probability } else { 0.0 }));
        }
    }
    characters
}
