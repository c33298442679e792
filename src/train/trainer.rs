//! A run of training: a program on a device, a source of batches, a schedule.

use std::collections::VecDeque;
use std::ops::Range;

use web_time::Instant;

use super::{Dataset, Profile, RunId, Settings, Snapshot, learning_rate};
use crate::error::{Error, Result};
use crate::gpu::{Ceilings, Executor, Kernels};
use crate::model::{ModelSpec, WeightSource, Weights};
use crate::step::update::{self, metrics};
use crate::step::{Batch, Granularity, IGNORED_LABEL, Pass};

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepReport {
    /// Its number, from 1.
    pub step: u64,
    /// The mean loss over its labels, in nats.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Its tokens.
    pub tokens: u64,
    /// How long it took.
    pub seconds: f64,
    /// Tokens by seconds.
    pub tokens_per_second: f64,
    /// Bytes of the device's buffers.
    pub peak_bytes: u64,
}

/// How well the model does on what it never trained on.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Validation {
    /// The mean loss over labels, in nats.
    pub loss: f64,
    /// The share of labels to which the model gives more than even odds, where there are right answers.
    pub accuracy: Option<f64>,
}

/// A run in progress.
pub struct Trainer {
    executor: Executor,
    settings: Settings,
    dataset: Dataset,
    validation: Vec<Batch>,
    step: u64,
    in_progress: Option<StepInProgress>,
    /// The next step, begun while the last one was still at work.
    prefetched: Option<StepInProgress>,
}

/// A step that has begun.
struct StepInProgress {
    started: Instant,
    tokens: u64,
    /// Batches whose gradients are still to come.
    batches: VecDeque<Batch>,
    /// The number of the turn that comes next.
    next: u64,
}

impl Trainer {
    /// Allocates a run on a device: `kernels` are those of a training step on batches of the dataset.
    ///
    /// # Errors
    /// If settings, data and model do not go together, if the values cannot be read, or the device has no room.
    ///
    /// # Panics
    /// If the kernels are of another strategy than the settings, or of other batches.
    pub async fn new(kernels: Kernels, settings: Settings, dataset: Dataset, values: &impl WeightSource) -> Result<Self> {
        settings.validate()?;
        let executor = Executor::new(kernels).await?;
        let program = executor.program();
        assert_eq!(program.strategy, settings.strategy, "the strategy of the kernels, and that of the settings");
        assert_eq!(program.batch, settings.batch_shape(&dataset), "the batches of the kernels, and those of the data");
        dataset.check_vocab(program.config())?;
        executor.load(values).await?;
        let validation = dataset.validation(settings.batch);
        Ok(Trainer { executor, settings, dataset, validation, step: 0, in_progress: None, prefetched: None })
    }

    /// The program on its device.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The model, and what of it is trained.
    pub fn spec(&self) -> &ModelSpec {
        &self.executor.program().spec
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// One step, or what is left of the one that has begun: gradients of all its batches, clipping, AdamW. If another step follows, its
    /// forward pass is handed to the device before this one's outcome is waited for, so that the device need not wait either.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if loss or gradient is no number: nothing was updated then. [`Error::DeviceLost`].
    pub async fn step(&mut self) -> Result<StepReport> {
        Ok(self.advance(Granularity::Step).await?.expect("that is a granularity to the end"))
    }

    /// Goes on by a stride, from where the last one ended, or from the start of the next step. What the stride does is done by
    /// the device when this returns. A report comes with the end of the step.
    ///
    /// # Errors
    /// As [`Trainer::step`]; the step that had begun is given up then.
    pub async fn advance(&mut self, granularity: Granularity) -> Result<Option<StepReport>> {
        let prefetched = self.prefetched.take().filter(|_| granularity == Granularity::Step);
        let mut in_progress = match self.in_progress.take().or(prefetched) {
            Some(in_progress) => in_progress,
            None => self.begin(self.step),
        };
        let gradients_end = self.executor.program().span(Pass::GRADIENTS).end;
        let all = self.executor.program().instance_count();
        loop {
            let last = if in_progress.next < gradients_end { gradients_end } else { all };
            let end = self.executor.program().granularity_end(in_progress.next, granularity).min(last);
            self.executor.run_instances(in_progress.next..end).await?;
            in_progress.next = end;
            if end == gradients_end {
                self.after_gradients(&mut in_progress);
            }
            if end == all {
                let goes_on = granularity == Granularity::Step && self.step + 1 < self.settings.steps;
                return self.finish(&in_progress, goes_on).await.map(Some);
            }
            if granularity != Granularity::Step {
                self.executor.gpu().wait().await?;
                self.in_progress = Some(in_progress);
                return Ok(None);
            }
        }
    }

    /// The number of the turn that comes next; 0 between steps.
    pub fn next_instance(&self) -> u64 {
        self.in_progress.as_ref().map_or(0, |in_progress| in_progress.next)
    }

    /// Draws the batches of a step behind so many others, and loads the first.
    fn begin(&self, steps_before: u64) -> StepInProgress {
        let started = Instant::now();
        let first = steps_before * u64::from(self.settings.accumulate);
        let batch = |i| self.dataset.batch(self.settings.seed, first + u64::from(i), self.settings.batch);
        let batches: Vec<Batch> = (0..self.settings.accumulate).map(batch).collect();
        let labels = batches.iter().map(Batch::label_count).sum();
        let tokens = batches.iter().map(|b| u64::from(b.shape.tokens())).sum();
        let mut batches: VecDeque<Batch> = batches.into_iter().map(|batch| batch.averaged_over(labels)).collect();
        self.executor.load_batch(&batches.pop_front().expect("a step has a batch"));
        StepInProgress { started, tokens, batches, next: 0 }
    }

    /// The next batch's gradients are added to those there are; behind the last batch comes the update.
    fn after_gradients(&self, in_progress: &mut StepInProgress) {
        match in_progress.batches.pop_front() {
            Some(batch) => {
                self.executor.load_batch(&batch);
                in_progress.next = self.executor.program().span(Pass::Forward..=Pass::Forward).start;
            }
            None => {
                let settings = self.adamw_params(self.step + 1);
                self.executor.write(self.executor.program().bindings.adamw_params, bytemuck::bytes_of(&settings));
            }
        }
    }

    /// The next step's forward pass, which changes nothing that lasts. What waits on the host would have to be waited for.
    async fn prefetch_next_step(&mut self) -> Result<()> {
        if self.executor.plan().host_bytes() > 0 {
            return Ok(());
        }
        let mut prefetched = self.begin(self.step + 1);
        prefetched.next = self.executor.program().span(Pass::Clear..=Pass::Forward).end;
        self.executor.run_instances(0..prefetched.next).await?;
        self.prefetched = Some(prefetched);
        Ok(())
    }

    /// Waits for the device, and reports.
    async fn finish(&mut self, in_progress: &StepInProgress, goes_on: bool) -> Result<StepReport> {
        let number = self.step + 1;
        let pending = self.executor.request_metrics();
        if goes_on {
            self.prefetch_next_step().await?;
        }
        let outcome = self.executor.await_metrics(pending).await?;
        if outcome[metrics::NOT_FINITE] != 0.0 || !outcome[metrics::LOSS].is_finite() {
            let what = if outcome[metrics::LOSS].is_finite() { "gradient" } else { "loss" };
            self.prefetched = None;
            return Err(Error::NonFinite { step: number, what });
        }
        self.step = number;
        // The device was at work on the last step until now.
        self.prefetched.iter_mut().for_each(|prefetched| prefetched.started = Instant::now());
        let seconds = in_progress.started.elapsed().as_secs_f64();
        Ok(StepReport {
            step: number,
            loss: f64::from(outcome[metrics::LOSS]),
            grad_norm: f64::from(outcome[metrics::GRAD_NORM]),
            learning_rate: learning_rate(&self.settings, number),
            tokens: in_progress.tokens,
            seconds,
            tokens_per_second: in_progress.tokens as f64 / seconds,
            peak_bytes: self.executor.created_bytes(),
        })
    }

    fn adamw_params(&self, step: u64) -> update::AdamWParams {
        let s = &self.settings;
        let correction = |beta: f64| (1.0 - beta.powf(step as f64)) as f32;
        update::AdamWParams {
            learning_rate: learning_rate(s, step) as f32,
            beta1: s.beta1 as f32,
            beta2: s.beta2 as f32,
            epsilon: s.epsilon as f32,
            weight_decay: s.weight_decay as f32,
            max_grad_norm: s.max_grad_norm as f32,
            bias_correction1: correction(s.beta1),
            bias_correction2: correction(s.beta2),
        }
    }

    /// The loss on the batches that are kept apart. It runs the same program up to the loss; what that leaves in the
    /// gradients is cleared at the next step.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    ///
    /// # Panics
    /// In the middle of a step, whose work it would undo.
    pub async fn validate(&mut self) -> Result<Validation> {
        assert!(self.in_progress.is_none(), "a validation within a step");
        self.prefetched = None;
        let labels: u64 = self.validation.iter().map(Batch::label_count).sum();
        let (mut loss, mut sure) = (0.0, 0);
        for batch in &self.validation {
            self.executor.load_batch(&batch.clone().averaged_over(labels));
            self.executor.run(Pass::Clear..=Pass::Loss).await?;
            loss += f64::from(self.executor.metrics().await?[metrics::LOSS]);
            if self.dataset.has_answers() {
                let log_probs: Vec<f32> =
                    bytemuck::pod_collect_to_vec(&self.executor.read(self.executor.program().bindings.log_probs).await?);
                let counted = log_probs.iter().zip(&batch.labels).filter(|(_, label)| **label != IGNORED_LABEL);
                sure += counted.filter(|(log_prob, _)| log_prob.exp() > 0.5).count();
            }
        }
        let accuracy = self.dataset.has_answers().then(|| sure as f64 / labels.max(1) as f64);
        Ok(Validation { loss, accuracy })
    }

    /// What the gradients of a batch that is kept apart take, operation by operation. The run goes on as if nothing had been.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    ///
    /// # Panics
    /// In the middle of a step, whose work it would undo.
    pub async fn profile(&mut self, ceilings: Ceilings) -> Result<Profile> {
        assert!(self.in_progress.is_none(), "a measurement within a step");
        self.prefetched = None;
        self.executor.load_batch(&self.validation[0]);
        Profile::of(&mut self.executor, ceilings).await
    }

    /// The first batch that is kept apart.
    pub(super) fn validation_batch(&self) -> &Batch {
        &self.validation[0]
    }

    /// Runs turns of the step for their intermediate tensors.
    ///
    /// # Panics
    /// In the middle of a step, whose work it would undo.
    pub(super) async fn run_instances(&mut self, numbers: Range<u64>) -> Result<()> {
        assert!(self.in_progress.is_none(), "other work within a step");
        self.prefetched = None;
        self.executor.run_instances(numbers).await
    }

    /// The parameters that learn, as they are now.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn weights(&self) -> Result<Weights> {
        self.executor.weights().await
    }

    /// What is the same in every snapshot of this run.
    pub fn run_id(&self) -> RunId {
        RunId { spec: self.spec().clone(), settings: self.settings.clone(), data: self.dataset.fingerprint() }
    }

    /// Everything that the run needs to go on.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let moments = [self.read_moment(0).await?, self.read_moment(1).await?];
        Ok(Snapshot { run: self.run_id(), step: self.step, weights: self.weights().await?, moments })
    }

    /// Goes back (or on) to a snapshot of this run.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let program = self.executor.program();
        for (id, parameter) in program.parameters.trainable() {
            let slices = program.slices(id);
            self.executor.load_slices(parameter, slices, |slice| Some(slice.value), &snapshot.weights).await?;
            for (which, values) in snapshot.moments.iter().enumerate() {
                self.executor.load_slices(parameter, slices, |slice| slice.moments.map(|moments| moments[which]), values).await?;
            }
        }
        self.step = snapshot.step;
        self.in_progress = None;
        self.prefetched = None;
        Ok(())
    }

    async fn read_moment(&self, which: usize) -> Result<Weights> {
        let program = self.executor.program();
        let values = self.executor.read_trainable(|slice| slice.moments.map(|moments| moments[which])).await?;
        Ok(Weights::of(program.parameters.trainable().map(|(_, parameter)| parameter), values))
    }
}
