//! A run with what it needs on the device.

use std::rc::Rc;
use std::sync::Arc;

use web_time::Instant;

use super::messages::send;
use super::model_client::{FirstValues, ModelClient};
use super::{completions, pairs, reference};
use crate::error::{Error, Result};
use crate::gpu::{Ceilings, Gpu, Kernels, Tuning};
use crate::model::{Parameters, Weights, WithAdapters};
use crate::step::Granularity;
use crate::step::roll_out::RollOutShape;
use crate::train::{AttentionPattern, Dataset, Generator, Profile, Sampled, Sampling, Snapshot, StepReport, Trainer, plan_within};
use crate::web::charts::byte_text;
use crate::web::model_protocol::{Origin, Request};
use crate::web::protocol::{Data, FromWorker, Go, History, Run, Sample};

/// Tokens of a sample, prompt included.
const SAMPLE_TOKENS: u32 = 192;
/// So many that the device need not wait for the worker at each.
const TOKENS_AT_A_TIME: u32 = 8;
const SAMPLING: Sampling = Sampling { temperature: 0.8, top_k: 40, top_p: 1.0 };
/// Seconds between states to go back to.
const GOOD_STATE_SECONDS: f64 = 4.0;

/// The state of a run after a step: all that has to outlive the device.
pub struct RunState {
    pub snapshot: Snapshot,
    pub history: History,
}

/// A run in progress.
pub struct Running {
    pub run: Run,
    pub trainer: Trainer,
    pub history: History,
    /// How to go; `None` while it stands still.
    pub go: Option<Go>,
    /// Devices that were lost since the last step that was done.
    pub losses: u32,
    /// A step failed since its loss or its gradient is not finite: what the run has become is not worth an earlier save.
    pub has_diverged: bool,
    dataset: Arc<Dataset>,
    gpu: Gpu,
    values: FirstValues,
    models: ModelClient,
    /// Made for the first sample, and kept.
    generator: Option<Generator>,
    good: Option<Rc<RunState>>,
    good_since: Instant,
    /// The state before the step in slow motion, to which it can go back.
    before_step: Option<Rc<RunState>>,
    /// The batch of which the page was told how long its sequences are.
    told_batch: Option<u64>,
}

impl Running {
    /// Plans, allocates and compiles a run, and goes back to a state of it, if there is one.
    pub async fn begin(gpu: &Gpu, run: Run, dataset: Arc<Dataset>, models: &ModelClient, good: Option<Rc<RunState>>) -> Result<Self> {
        let settings = run.settings.clone();
        let plan =
            plan_within(settings.objective, &run.spec, &settings.batch_shape(&dataset), settings.strategy, run.budget, gpu.limits())?;
        let kernels = Kernels::new_with_progress(gpu, plan, |done, all| send(&FromWorker::Preparing(done, all))).await?;
        let values = models.first_values(&run);
        let mut trainer = match good.as_ref().map(|good| &good.snapshot.weights) {
            None => Trainer::new(kernels, settings, dataset.clone(), &values).await?,
            // What learns is in the state, so that of a model all of which learns nothing else is needed.
            Some(weights) if run.spec.adapters().is_none() => Trainer::new(kernels, settings, dataset.clone(), weights).await?,
            Some(weights) => {
                let values = WithAdapters { base: &values, adapters: weights };
                Trainer::new(kernels, settings, dataset.clone(), &values).await?
            }
        };
        reference::of_completions(gpu, &run, &dataset, &values).await?.into_iter().for_each(|reference| trainer.set_reference(reference));
        trainer.watch_roll_outs(Box::new(|progress, texts| send(&FromWorker::Sampling(progress, texts.to_vec()))));
        if let Some(good) = &good {
            good.snapshot.check_run("of this run", &trainer.run_id())?;
            trainer.restore(&good.snapshot).await?;
        }
        Ok(Running {
            run,
            trainer,
            history: good.as_ref().map_or_else(History::default, |good| good.history.clone()),
            go: None,
            losses: 0,
            has_diverged: false,
            dataset,
            gpu: gpu.clone(),
            values,
            models: models.clone(),
            generator: None,
            good,
            good_since: Instant::now(),
            before_step: None,
            told_batch: None,
        })
    }

    /// What it has learned, for the model worker to pack.
    pub async fn learned(&self) -> Result<(Request, Vec<u8>)> {
        Ok(learned(&self.run, self.trainer.steps_done(), &self.trainer.weights().await?))
    }

    /// The kernels that it runs: others would give other bits.
    pub fn tuning(&self) -> Tuning {
        *self.gpu.tuning()
    }

    /// What it is trained on, which needs no device.
    pub fn dataset(&self) -> Arc<Dataset> {
        self.dataset.clone()
    }

    /// The last state that is known to be good.
    pub fn last_good(&self) -> Option<Rc<RunState>> {
        self.good.clone()
    }

    /// Are all its steps done?
    pub fn is_over(&self) -> bool {
        self.trainer.next_instance() == 0 && self.trainer.steps_done() >= self.run.settings.steps
    }

    /// The run's state behind its last step.
    pub async fn state(&mut self) -> Result<Rc<RunState>> {
        let snapshot = self.trainer.snapshot().await?;
        self.good_since = Instant::now();
        Ok(self.good.insert(Rc::new(RunState { snapshot, history: self.history.clone() })).clone())
    }

    /// One stride back within the step in progress, to the bits that it had there.
    pub async fn go_back(&mut self, stride: Granularity) -> Result<()> {
        let Some(before) = self.before_step.clone() else { return Ok(()) };
        let to = self.trainer.executor().program().granularity_start(self.trainer.next_instance(), stride);
        self.trainer.go_back(to, &before.snapshot).await
    }

    /// One stride, and behind a step what is due.
    pub async fn advance(&mut self, stride: Granularity) -> Result<Option<StepReport>> {
        if self.trainer.next_instance() == 0 {
            self.before_step = if stride == Granularity::Step { None } else { Some(self.state().await?) };
        }
        let Some(report) = self.trainer.advance(stride).await? else { return Ok(None) };
        self.losses = 0;
        let of_pairs = self.trainer.of_pairs();
        self.history.steps.push(report);
        self.history.pairs.extend(of_pairs.map(|of_pairs| (report.step, of_pairs)));
        let of_samples = self.trainer.of_samples().cloned();
        self.history.samples.extend(of_samples.clone().map(|samples| (report.step, samples)));
        send(&FromWorker::Stepped(report, of_pairs, of_samples));
        if let Some(group) = self.trainer.round().and_then(|round| completions::view(&self.run, round)) {
            send(&FromWorker::Completed(report.step, Box::new(group)));
        }
        let is_due = |every: u64| every > 0 && report.step.is_multiple_of(every);
        if is_due(self.run.validate_every) {
            let validation = self.trainer.validate().await?;
            self.history.validations.push((report.step, validation.clone()));
            send(&FromWorker::Validated(report.step, validation));
            if let Some(found) = self.trainer.held_out_pairs() {
                let view = pairs::view(&self.run, &self.models, found).await?;
                send(&FromWorker::ValidatedPairs(report.step, Box::new(view)));
            }
        }
        // A generated task's sequences are no text: its answers are counted by the validation.
        if is_due(self.run.sample_every) && !matches!(self.run.data, Data::Task(..)) {
            let sample = self.sample(report.step).await?;
            send(&FromWorker::Sampled(report.step, sample));
        }
        if self.good.is_none() || self.good_since.elapsed().as_secs_f64() > GOOD_STATE_SECONDS {
            self.state().await?;
        }
        Ok(Some(report))
    }

    /// Tells the page, within a step that compares pairs, how long the sequences of the batch at work are: they are packed as they come.
    pub fn tell_batch(&mut self) {
        let is_packed = self.run.has_pairs() || self.run.settings.roll_outs.is_some();
        let Some(number) = self.trainer.batch_in_progress().filter(|_| is_packed) else { return };
        if self.told_batch.replace(number) != Some(number) {
            send(&FromWorker::Packed(self.trainer.lengths_in_progress()));
        }
    }

    /// The attention map of a head, and the texts of the sequence's tokens.
    pub async fn attention(&mut self, layer: u32, head: u32) -> Result<(AttentionPattern, Vec<String>)> {
        self.stands_between_steps("looking at attention")?;
        let pattern = self.trainer.attention(layer, head).await?;
        let texts = match self.run.is_encoded() {
            true => self.models.answer(Request::Decode(pattern.input_ids.clone()), None).await?,
            false => pattern.input_ids.iter().copied().map(byte_text).collect(),
        };
        Ok((pattern, texts))
    }

    /// What every operation takes.
    pub async fn profile(&mut self, ceilings: Ceilings) -> Result<Profile> {
        self.stands_between_steps("measuring its operations")?;
        self.trainer.profile(ceilings).await
    }

    fn stands_between_steps(&self, work: &str) -> Result<()> {
        match self.trainer.next_instance() {
            0 => Ok(()),
            _ => Err(Error::Setting(format!("a step is under way, and {work} would undo it; go on to its end first"))),
        }
    }

    /// What the model writes behind the prompt.
    async fn sample(&mut self, step: u64) -> Result<Sample> {
        let prompt = if self.run.prompt.is_empty() { "\n".to_owned() } else { self.run.prompt.clone() };
        let mut ids: Vec<u32> = match self.run.is_encoded() {
            true => self.models.answer(Request::Encode(prompt), None).await?,
            false => prompt.bytes().map(u32::from).collect(),
        };
        ids.truncate(SAMPLE_TOKENS as usize / 2);
        let weights = self.trainer.weights().await?;
        let generator = match &mut self.generator {
            Some(generator) => generator,
            none => {
                let shape = RollOutShape { prompt: SAMPLE_TOKENS / 2, rows: 1, completion: SAMPLE_TOKENS };
                let plan = Generator::plan(&self.run.spec, shape, self.gpu.limits())?;
                let mut generator = Generator::new(Kernels::new(&self.gpu.used_for("samples"), plan)?).await?;
                if self.run.spec.adapters().is_some() {
                    generator.load(&WithAdapters { base: &self.values, adapters: &weights }).await?;
                }
                none.insert(generator)
            }
        };
        generator.load_trainable(&weights).await?;
        generator.start(&ids, SAMPLING, step, 0..1)?;
        let mut written = Vec::new();
        while ids.len() + written.len() < SAMPLE_TOKENS as usize {
            written.append(&mut generator.next(TOKENS_AT_A_TIME).await?.swap_remove(0));
        }
        if !self.run.is_encoded() {
            let prompt: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
            return Ok(Sample { prompt: String::from_utf8_lossy(&prompt).into_owned(), written: characters(&written) });
        }
        let prompt_tokens = ids.len();
        ids.extend(written.iter().map(|sampled| sampled.id));
        let mut pieces: Vec<String> = self.models.answer(Request::Decode(ids), None).await?;
        let behind = pieces.split_off(prompt_tokens);
        Ok(Sample { prompt: pieces.concat(), written: whole_pieces(&behind, &written) })
    }
}

/// What a run has learned by a step, for the model worker to pack.
pub fn learned(run: &Run, step: u64, weights: &Weights) -> (Request, Vec<u8>) {
    let parameters = Parameters::new(&run.spec);
    let bytes =
        parameters.trainable().flat_map(|(_, parameter)| bytemuck::cast_slice::<f32, u8>(weights.get(&parameter.name)).iter().copied());
    let base = run.start.origin().map_or("", Origin::name).to_owned();
    (Request::Pack(step, Box::new(run.spec.clone()), base), bytes.collect())
}

/// Tokens as text. A token that completes no character goes with the one that does, and so do their probabilities.
fn whole_pieces(pieces: &[String], written: &[Sampled]) -> Vec<(String, f32)> {
    let mut whole = Vec::new();
    let mut probability = 1.0;
    for (piece, sampled) in pieces.iter().zip(written) {
        probability *= sampled.probability;
        if !piece.is_empty() {
            whole.push((piece.clone(), std::mem::replace(&mut probability, 1.0)));
        }
    }
    whole
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
