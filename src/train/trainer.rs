//! The trainer: runs the steps of a training run on a device.
//!
//! A step can run as a whole or be stepped through (see [`Granularity`]). When steps follow each other, the forward pass of the next step
//! is submitted before the metrics of the current one are read, so that the device does not idle.

mod samples;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use web_time::Instant;

use super::accuracy::{AccuracyAtDistance, Counts};
use super::evaluate::Sums;
use super::objectives::{HeldOutPairs, ReferenceModel, SampleMetrics, sequence_log_probs, sequence_metrics};
use super::round::{Round, Watch};
#[cfg(not(target_arch = "wasm32"))]
use super::snapshot::Kept;
use super::stand_ins::batch_of_objective;
use super::{Dataset, DpoMetrics, HeldOut, LossAtPositions, Profile, Rewards, RunId, Settings, Snapshot, learning_rate};
use crate::error::{Error, Result};
use crate::gpu::{Ceilings, Executor, Kernels, Transport};
use crate::model::{ModelSpec, ParameterId, Parameters, WeightSource, Weights, fingerprint};
use crate::step::update::{self, metrics};
use crate::step::{Batch, BatchOfStep, Granularity, LabelledTiles, Objective, Pass};

/// The report of a step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepReport {
    /// The number of the step, from 1.
    pub step: u64,
    /// The mean loss over its labels, in nats.
    pub loss: f64,
    /// The global gradient norm before clipping.
    pub grad_norm: f64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// The number of tokens of all its batches.
    pub tokens: u64,
    /// Its duration in seconds.
    pub seconds: f64,
    /// Tokens per second.
    pub tokens_per_second: f64,
    /// Bytes of the device's buffers.
    pub peak_bytes: u64,
    /// The share of its floating-point operations that was left out, because nobody needs them for tokens without a label.
    #[serde(default)]
    pub flops_left_out: f64,
}

/// The result of a validation on held-out batches.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Validation {
    /// The mean loss over labels, in nats.
    pub loss: f64,
    /// The share of answers each of whose labels has a probability above one half, for datasets with answers; or of pairs whose chosen
    /// sequence has the larger reward.
    pub accuracy: Option<f64>,
    /// The same by the distance of what the answers follow from, in powers of two.
    pub accuracy_by_distance: Vec<AccuracyAtDistance>,
    /// The loss by the number of tokens that a label follows, in powers of two.
    pub by_position: Vec<LossAtPositions>,
}

impl Validation {
    /// e to the power of the loss.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }
}

/// A run in progress.
pub struct Trainer {
    executor: Executor,
    /// Floating-point operations of the step on one batch, if nothing is left out.
    flops: u64,
    settings: Settings,
    dataset: Arc<Dataset>,
    /// The fingerprint of the dataset, which takes long to compute for a large one.
    data: u64,
    /// The fingerprint of the frozen weights.
    frozen: Option<u64>,
    validation: Vec<HeldOut>,
    step: u64,
    in_progress: Option<StepInProgress>,
    /// The next step, whose forward pass was submitted before the last one was complete.
    prefetched: Option<StepInProgress>,
    /// What the last step has found of its pairs.
    of_pairs: Option<DpoMetrics>,
    /// What the last validation has found of its pairs.
    held_out: Option<HeldOutPairs>,
    /// What completions are worth, for an objective that learns from it.
    rewards: Option<Rewards>,
    /// What completions are compared with, for such an objective with a reference.
    reference: Option<ReferenceModel>,
    /// The completions of the last roll-out.
    round: Option<Round>,
    /// What the last step has found of its completions.
    of_samples: Option<SampleMetrics>,
    watch: Option<Watch>,
}

/// The fingerprint of the frozen parameters, if there are any.
async fn frozen_fingerprint(parameters: &Parameters, values: &impl WeightSource) -> Result<Option<u64>> {
    let mut frozen = parameters.iter().map(|(_, parameter)| parameter).filter(|parameter| !parameter.is_trainable).peekable();
    if frozen.peek().is_some() { fingerprint(values, frozen).await.map(Some) } else { Ok(None) }
}

/// A step in progress.
struct StepInProgress {
    started: Instant,
    tokens: u64,
    /// Batches whose gradients are still to be accumulated.
    batches: VecDeque<Batch>,
    /// The lengths of the sequences of the batch at hand.
    lengths: Vec<u32>,
    /// The number of the next operation instance.
    next: u64,
    /// Log-probabilities and log-ratios of the sequences of all pairs so far.
    pairs: Vec<f32>,
    /// What the sequences of all samples so far have left.
    samples: Vec<f32>,
    /// The loss so far of answers that were not sampled.
    answers: Option<f64>,
    /// Is everything computed of all tokens?
    in_full: bool,
    flops_left_out: f64,
}

impl Trainer {
    /// Allocates a run on a device and loads the weights. `kernels` are those of a training step on batches of the dataset, which can be
    /// shared, so that it outlives the device.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Data`] if settings, dataset and model do not match, errors of the weight source,
    /// [`Error::OutOfMemory`], or if the device was lost.
    ///
    /// # Panics
    /// If the strategy or the batch shape of the kernels differs from that of the settings.
    pub async fn new(kernels: Kernels, settings: Settings, dataset: impl Into<Arc<Dataset>>, values: &impl WeightSource) -> Result<Self> {
        let dataset = dataset.into();
        settings.validate()?;
        let executor = Executor::new(kernels).await?;
        let program = executor.program();
        assert_eq!(program.strategy, settings.strategy, "the strategy of the kernels, and that of the settings");
        assert_eq!(program.objective, settings.objective, "the objective of the kernels, and that of the settings");
        assert_eq!(program.batch.lengths(), settings.batch_shape(&dataset).lengths(), "the batches of the kernels, and those of the data");
        dataset.check_vocab(program.config())?;
        settings.objective.check_data(&dataset)?;
        executor.load(values).await?;
        let frozen = frozen_fingerprint(&program.parameters, values).await?;
        let validation = match settings.objective {
            Objective::CrossEntropy | Objective::Dpo(_) => dataset.validation(settings.batch),
            // What is validated is sampled; this is for those who look at a step.
            Objective::Grpo(_) => {
                let batch = batch_of_objective(&dataset, settings.objective, !settings.seed, 0, settings.batch);
                vec![HeldOut { batch, answers: Vec::new() }]
            }
        };
        let data = dataset.fingerprint();
        let flops = executor.program().step_cost().flops;
        let rewards = settings.roll_outs.as_ref().map(|roll_outs| Rewards::new(&roll_outs.rewards)).transpose()?;
        Ok(Trainer {
            executor,
            flops,
            settings,
            dataset,
            data,
            frozen,
            validation,
            step: 0,
            in_progress: None,
            prefetched: None,
            of_pairs: None,
            held_out: None,
            rewards,
            reference: None,
            round: None,
            of_samples: None,
            watch: None,
        })
    }

    /// Gives it the way to the other ranks, if the batches lie on several.
    pub fn connect(&mut self, transport: Box<dyn Transport>) {
        self.executor.connect(transport);
    }

    /// Gives it the model that completions are compared with, which an objective of samples with a reference needs.
    pub fn set_reference(&mut self, reference: ReferenceModel) {
        self.reference = Some(reference);
    }

    /// Makes somebody look on while completions are sampled.
    pub fn watch_roll_outs(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// The executor of the step's program.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The model, and which of its parameters are trainable.
    pub fn spec(&self) -> &ModelSpec {
        &self.executor.program().spec
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the last step has found of its pairs, if the objective compares these.
    pub fn of_pairs(&self) -> Option<DpoMetrics> {
        self.of_pairs
    }

    /// What the last validation has found of its pairs, if the objective compares these.
    pub fn held_out_pairs(&self) -> Option<&HeldOutPairs> {
        self.held_out.as_ref()
    }

    /// What the last step has found of its completions, if it has sampled some.
    pub fn of_samples(&self) -> Option<&SampleMetrics> {
        self.of_samples.as_ref()
    }

    /// The completions of the last step, if it has sampled some.
    pub fn round(&self) -> Option<&Round> {
        self.round.as_ref()
    }

    /// The number of completed steps.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Runs one step, or the rest of the step in progress: gradients of all its batches, clipping, AdamW. If another step follows, its
    /// forward pass is submitted before this step's metrics are read, so that the device does not idle.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the loss or the gradient is not finite, in which case nothing was updated; [`Error::DeviceLost`] or another
    /// error of the device.
    pub async fn step(&mut self) -> Result<StepReport> {
        Ok(self.advance(Granularity::Step).await?.expect("this granularity completes the step"))
    }

    /// Advances by a granularity, from where the last call ended, or from the start of the next step. The device has completed the work
    /// when this returns. Returns a report at the end of the step.
    ///
    /// # Errors
    /// As [`Trainer::step`]. The step in progress is abandoned.
    pub async fn advance(&mut self, granularity: Granularity) -> Result<Option<StepReport>> {
        // What the caller did since the last step, such as sampling, is no part of this one.
        let restarted = |step: StepInProgress| StepInProgress { started: Instant::now(), ..step };
        let prefetched = self.prefetched.take().filter(|_| granularity == Granularity::Step).map(restarted);
        let mut in_progress = match self.in_progress.take().or(prefetched) {
            Some(in_progress) => in_progress,
            None => self.begin(self.step, granularity != Granularity::Step).await?,
        };
        let gradients_end = self.executor.program().span(Pass::GRADIENTS).end;
        let all = self.executor.program().span(Pass::STEP).end;
        loop {
            let last = if in_progress.next < gradients_end { gradients_end } else { all };
            let end = self.executor.program().granularity_end(in_progress.next, granularity).min(last);
            self.executor.run_instances(in_progress.next..end).await?;
            in_progress.next = end;
            if end == gradients_end {
                self.after_gradients(&mut in_progress).await?;
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

    /// Goes back within the step in progress, to the operation instance `to` of the same batch: the step is begun again and runs up to it, to
    /// the same bits. `start` is a snapshot of before the step, which the update, once it has begun, makes necessary. Without a step in
    /// progress nothing changes.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or another error of the device. The step in progress is abandoned.
    pub async fn go_back(&mut self, to: u64, start: &Snapshot) -> Result<()> {
        let Some(StepInProgress { batches, next, .. }) = self.in_progress.take() else { return Ok(()) };
        let gradients_end = self.executor.program().span(Pass::GRADIENTS).end;
        if next > gradients_end {
            self.restore(start).await?;
        }
        let mut again = self.begin(self.step, true).await?;
        while again.batches.len() > batches.len() {
            self.executor.run_instances(again.next..gradients_end).await?;
            self.after_gradients(&mut again).await?;
        }
        if to >= gradients_end {
            self.executor.run_instances(again.next..gradients_end).await?;
            again.next = gradients_end;
            self.after_gradients(&mut again).await?;
        }
        self.executor.run_instances(again.next..to).await?;
        self.executor.gpu().wait().await?;
        again.next = to;
        // Before its first operation a step is not in progress.
        self.in_progress = (to > 0).then_some(again);
        Ok(())
    }

    /// The number of the next operation instance; 0 between steps.
    pub fn next_instance(&self) -> u64 {
        self.in_progress.as_ref().map_or(0, |in_progress| in_progress.next)
    }

    /// The number of the batch in progress, by which the dataset makes it again; `None` between steps.
    pub fn batch_in_progress(&self) -> Option<u64> {
        let left = self.in_progress.as_ref()?.batches.len() as u64;
        Some((self.step + 1) * u64::from(self.settings.accumulate) - 1 - left)
    }

    /// The lengths of the sequences of the batch in progress; nothing between steps.
    pub fn lengths_in_progress(&self) -> Vec<u32> {
        self.in_progress.as_ref().map_or_else(Vec::new, |in_progress| in_progress.lengths.clone())
    }

    /// Begins the step after `steps_before` others: draws its batches, and loads the first. In full, nothing is left out of what nobody but a
    /// reader needs.
    async fn begin(&mut self, steps_before: u64, in_full: bool) -> Result<StepInProgress> {
        let started = Instant::now();
        let batches = match self.settings.objective {
            Objective::CrossEntropy | Objective::Dpo(_) => self.drawn_batches(steps_before),
            Objective::Grpo(grpo) => self.sampled_batches(grpo, steps_before).await?,
        };
        let tokens = batches.iter().map(|b| u64::from(b.shape.tokens())).sum();
        let flops_left_out = if in_full { 0.0 } else { self.flops_left_out(&batches) };
        let answers = self.learns_from_answers(steps_before).then_some(0.0);
        let mut batches = VecDeque::from(batches);
        let first = batches.pop_front().expect("a step has a batch");
        self.load_with_next(&first, &batches, in_full);
        let (pairs, samples, lengths) = (Vec::new(), Vec::new(), first.shape.lengths().to_vec());
        Ok(StepInProgress { started, tokens, batches, lengths, next: 0, pairs, samples, answers, in_full, flops_left_out })
    }

    /// The batches of the step after so many, as they are drawn from the data.
    fn drawn_batches(&self, steps_before: u64) -> Vec<Batch> {
        let first = steps_before * u64::from(self.settings.accumulate);
        let batch = |i| self.dataset.batch(self.settings.seed, first + u64::from(i), self.settings.batch);
        let batches: Vec<Batch> = (0..self.settings.accumulate).map(batch).collect();
        let count = batches.iter().map(Batch::count).sum();
        batches.into_iter().map(|batch| batch.averaged_over(count)).collect()
    }

    /// The share of a step's floating-point operations that its batches leave out.
    fn flops_left_out(&self, batches: &[Batch]) -> f64 {
        let left_out: u64 = batches.iter().map(|batch| self.executor.program().flops_left_out(&LabelledTiles::of(batch))).sum();
        left_out as f64 / (self.flops * batches.len() as u64) as f64
    }

    /// Loads a batch of a step. `left` are those that follow.
    fn load_with_next(&mut self, batch: &Batch, left: &VecDeque<Batch>, in_full: bool) {
        self.load(batch, in_full);
        let (all, left_count) = (self.settings.accumulate, left.len() as u32);
        self.executor.set_batch_of_step(BatchOfStep::of(all - 1 - left_count, all));
        left.front().iter().for_each(|next| self.executor.load_next_batch(next));
    }

    fn load(&mut self, batch: &Batch, in_full: bool) {
        if in_full { self.executor.load_batch_in_full(batch) } else { self.executor.load_batch(batch) }
    }

    /// Loads a batch for those who look at the numbers of its tokens.
    pub(super) fn load_in_full(&mut self, batch: &Batch) {
        self.load(batch, true);
    }

    /// After the gradients of a batch: loads the next batch, whose gradients are accumulated, or, after the last one, prepares the update.
    async fn after_gradients(&mut self, in_progress: &mut StepInProgress) -> Result<()> {
        in_progress.pairs.extend(sequence_log_probs(&self.executor).await?);
        in_progress.samples.extend(sequence_metrics(&self.executor).await?);
        if let Some(loss) = &mut in_progress.answers {
            *loss += self.answers_loss().await?;
        }
        self.note_weights(self.settings.accumulate as usize - 1 - in_progress.batches.len()).await?;
        match in_progress.batches.pop_front() {
            Some(batch) => {
                self.load_with_next(&batch, &in_progress.batches, in_progress.in_full);
                in_progress.lengths = batch.shape.lengths().to_vec();
                in_progress.next = self.executor.program().span(Pass::Forward..=Pass::Forward).start;
            }
            None => {
                let settings = self.adamw_params(self.step + 1);
                self.executor.write(self.executor.program().bindings.adamw_params, bytemuck::bytes_of(&settings));
            }
        }
        Ok(())
    }

    /// Submits the next step's forward pass, which changes no persistent state. Not with offloading, whose copies would have to be waited
    /// for, and not where completions are sampled first, of the model that this step leaves.
    async fn prefetch_next_step(&mut self) -> Result<()> {
        if self.executor.plan().host_bytes() > 0 || self.settings.roll_outs.is_some() {
            return Ok(());
        }
        let mut prefetched = self.begin(self.step + 1, false).await?;
        prefetched.next = self.executor.program().span(Pass::Clear..=Pass::Forward).end;
        self.executor.run_instances(0..prefetched.next).await?;
        self.prefetched = Some(prefetched);
        Ok(())
    }

    /// Waits for the device, and returns the report.
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
        self.of_pairs = self.settings.objective.metrics(&in_progress.pairs);
        self.of_samples = match (self.settings.objective, &self.round) {
            (Objective::Grpo(grpo), Some(round)) => SampleMetrics::of(&grpo, round, &in_progress.samples),
            _ => None,
        };
        let seconds = in_progress.started.elapsed().as_secs_f64();
        Ok(StepReport {
            step: number,
            loss: in_progress.answers.unwrap_or(f64::from(outcome[metrics::LOSS])),
            grad_norm: f64::from(outcome[metrics::GRAD_NORM]),
            learning_rate: learning_rate(&self.settings, number),
            tokens: in_progress.tokens,
            seconds,
            tokens_per_second: in_progress.tokens as f64 / seconds,
            peak_bytes: self.executor.created_bytes(),
            flops_left_out: in_progress.flops_left_out,
        })
    }

    fn adamw_params(&self, step: u64) -> update::AdamWParams {
        let s = &self.settings;
        let correction = |beta: f64| (1.0 - beta.powf(step as f64)) as f32;
        update::AdamWParams {
            learning_rate: learning_rate(s, step) as f32,
            beta1: s.beta1 as f32,
            beta2: s.beta2 as f32,
            epsilon: s.adam_epsilon as f32,
            weight_decay: s.weight_decay as f32,
            max_grad_norm: s.max_grad_norm as f32,
            bias_correction1: correction(s.beta1),
            bias_correction2: correction(s.beta2),
        }
    }

    /// The loss on the held-out batches. It runs the same program up to the loss; the next step clears the resulting gradients.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    ///
    /// # Panics
    /// Within a step, whose state it would overwrite.
    pub async fn validate(&mut self) -> Result<Validation> {
        assert!(self.in_progress.is_none(), "a validation within a step");
        self.prefetched = None;
        if let Objective::Grpo(grpo) = self.settings.objective {
            return self.validate_samples(grpo).await;
        }
        let count: u64 = self.validation.iter().map(|held_out| held_out.batch.count()).sum();
        let (mut loss, mut counts, mut sums, mut pairs) = (0.0, Counts::default(), Sums::default(), Vec::new());
        let mut found = HeldOutPairs::default();
        for HeldOut { batch, answers } in &self.validation {
            self.executor.load_batch(&batch.clone().averaged_over(count));
            self.executor.set_batch_of_step(BatchOfStep::VALIDATED);
            self.executor.run(Pass::Clear..=Pass::Loss).await?;
            loss += f64::from(self.executor.metrics().await?[metrics::LOSS]);
            let log_probs: Vec<f32> = bytemuck::pod_collect_to_vec(&self.executor.read(self.executor.program().bindings.log_probs).await?);
            sums.add(batch, &log_probs);
            counts.add(answers, &log_probs);
            if batch.pairs > 0 && pairs.is_empty() {
                let weights = self.executor.read(self.executor.program().bindings.loss_weight).await?;
                found.look(batch, &log_probs, &bytemuck::pod_collect_to_vec::<u8, f32>(&weights), count);
            }
            pairs.extend(sequence_log_probs(&self.executor).await?);
        }
        if let Objective::Dpo(settings) = &self.settings.objective {
            found.set_margins(settings, &pairs);
            self.held_out = Some(found);
        }
        let of_pairs = self.settings.objective.metrics(&pairs).map(|pairs| pairs.accuracy);
        let (accuracy, accuracy_by_distance) = (of_pairs.or(counts.accuracy()), counts.by_distance());
        Ok(Validation { loss, accuracy, accuracy_by_distance, by_position: sums.by_position() })
    }

    /// Profiles the gradients of a held-out batch. The run is not affected.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    ///
    /// # Panics
    /// Within a step, whose state it would overwrite.
    pub async fn profile(&mut self, ceilings: Ceilings) -> Result<Profile> {
        assert!(self.in_progress.is_none(), "a measurement within a step");
        self.prefetched = None;
        self.executor.load_batch_in_full(&self.validation[0].batch);
        Profile::of(&mut self.executor, ceilings).await
    }

    /// The first held-out batch.
    pub(super) fn validation_batch(&self) -> &Batch {
        &self.validation[0].batch
    }

    /// Runs operation instances of the step for their intermediate tensors.
    ///
    /// # Panics
    /// Within a step, whose state it would overwrite.
    pub(super) async fn run_instances(&mut self, numbers: Range<u64>) -> Result<()> {
        assert!(self.in_progress.is_none(), "other work within a step");
        self.prefetched = None;
        self.executor.run_instances(numbers).await
    }

    /// The current values of the trainable parameters.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn weights(&self) -> Result<Weights> {
        self.executor.weights().await
    }

    /// The identity of this run, as its snapshots have it.
    pub fn run_id(&self) -> RunId {
        RunId { spec: self.spec().clone(), settings: self.settings.clone(), data: self.data, frozen: self.frozen }
    }

    /// A snapshot, from which the run can be resumed. Of several ranks only the first can have it, and the others meanwhile
    /// [hand over](Trainer::hand_over_moments) what they hold.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn snapshot(&mut self) -> Result<Snapshot> {
        let moments = [self.read_moments(0).await?, self.read_moments(1).await?];
        self.end_hand_over()?;
        let round = self.round_to_keep().cloned();
        Ok(Snapshot { run: self.run_id(), step: self.step, weights: self.weights().await?, moments, round })
    }

    /// A moment of all trainable parameters. On one device, it takes few read-backs.
    async fn read_moments(&mut self, which: usize) -> Result<Weights> {
        let mut values = Vec::new();
        if self.executor.program().batch.split().is_none() {
            values = self.executor.read_trainable(|slice| slice.moments.map(|moments| moments[which])).await?;
        } else {
            let ids: Vec<ParameterId> = self.executor.program().parameters.trainable().map(|(id, _)| id).collect();
            for id in ids {
                values.push(self.executor.read_moment(which, id).await?);
            }
        }
        Ok(Weights::of(self.executor.program().parameters.trainable().map(|(_, parameter)| parameter), values))
    }

    /// The completions that belong into a snapshot.
    pub(super) fn round_to_keep(&self) -> Option<&Round> {
        self.round.as_ref().filter(|_| self.goes_on_with_round())
    }

    /// What a snapshot has of a trainable parameter: its value, or a moment of AdamW.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) async fn read_kept(&mut self, kept: Kept, id: ParameterId) -> Result<Vec<f32>> {
        match kept {
            Kept::Value => self.executor.read_value(id).await,
            Kept::Moment(which) => self.executor.read_moment(which, id).await,
        }
    }

    /// Takes part in a snapshot, on other ranks than the first: until that is complete, or cannot be completed.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], or if the first rank cannot be reached.
    pub async fn hand_over_moments(&mut self) -> Result<()> {
        self.executor.hand_over_moments().await
    }

    /// Lets the other ranks go on after a snapshot.
    pub(super) fn end_hand_over(&mut self) -> Result<()> {
        self.executor.end_hand_over()
    }

    /// Restores a snapshot of this run. Resuming gives bit-identical results.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    pub async fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let Snapshot { step, weights, moments: [first, second], round, .. } = snapshot;
        self.restore_from(*step, round.clone(), &[weights, first, second]).await
    }

    /// Restores the state after a step: values, then first and second moments.
    pub(super) async fn restore_from(&mut self, step: u64, round: Option<Round>, kept: &[impl WeightSource; 3]) -> Result<()> {
        let program = self.executor.program();
        let [values, moments @ ..] = kept;
        for (id, parameter) in program.parameters.trainable() {
            let slices = program.slices(id);
            self.executor.load_slices(parameter, slices, |slice| Some(slice.value), values).await?;
            for (which, values) in moments.iter().enumerate() {
                self.executor.load_slices(parameter, slices, |slice| slice.moments.map(|moments| moments[which]), values).await?;
            }
        }
        self.step = step;
        self.round = round;
        self.in_progress = None;
        self.prefetched = None;
        Ok(())
    }
}
