//! The loop of a training run: steps, validations and checkpoints, and an end at which nothing is lost.

use std::fs;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use streambp::error::{Error, Result};
use streambp::train::run_file::{METRICS, Metrics, RunFile};
use streambp::train::{AccuracyAtDistance, Trainer, save_run};

use crate::out_directory::OutDirectory;
use crate::output;
use crate::session::Session;
use crate::signals::Signal;

/// Steps between validations, and between checkpoints.
#[derive(Clone, Copy)]
pub struct Intervals {
    pub validation: u64,
    pub checkpoint: u64,
}

/// The files that are written during a run.
pub struct Files<'a> {
    pub out: &'a OutDirectory,
    started: RunFile,
    /// The lines of all steps.
    metrics: String,
}

impl<'a> Files<'a> {
    /// Those of a run that was started like that, and perhaps resumed from a step.
    pub fn new(out: &'a OutDirectory, started: RunFile, resumed: Option<u64>) -> Files<'a> {
        let before = resumed.map(|step| Metrics::read(&fs::read_to_string(out.path().join(METRICS)).unwrap_or_default(), step));
        Files { out, started, metrics: before.iter().flatten().map(Metrics::to_line).collect() }
    }

    fn save(&self, trainer: &mut Trainer) -> Result<()> {
        save_run(self.out.path(), &self.started, &self.metrics, trainer)
    }
}

/// A run in progress.
pub struct Training<'a> {
    pub trainer: Trainer,
    /// Its files, on the rank that writes them.
    pub files: Option<Files<'a>>,
    /// Is it saved, whoever writes the files?
    pub is_saved: bool,
    pub intervals: Intervals,
    pub session: Session<'a>,
    /// The step of the checkpoint in `out`, if this run saved or loaded it.
    pub saved: Option<u64>,
}

impl Training<'_> {
    /// Runs all steps, or stops at a signal, which is returned. The last state is not saved yet.
    ///
    /// # Errors
    /// Errors of the trainer, and of the output, before which the run is saved.
    pub async fn run(&mut self) -> Result<Option<Signal>> {
        let steps = self.trainer.settings().steps;
        let bar = progress_bar(steps, self.trainer.steps_done());
        let mut broken = None;
        while self.trainer.steps_done() < steps {
            let signal = self.session.signals.received();
            // Ranks stop together.
            let stops = signal.is_some() || broken.is_some();
            if self.session.ranks.same(async { Ok(stops) }).await? {
                bar.finish_and_clear();
                self.save_if_broken(broken).await?;
                return Ok(signal.filter(|_| self.session.ranks.is_first()));
            }
            let report = self.trainer.step().await.map_err(|error| self.advice(error))?;
            let is_last = report.step == steps;
            let validation = match is_last || report.step.is_multiple_of(self.intervals.validation) {
                true => Some(self.trainer.validate().await?),
                false => None,
            };
            let metrics = Metrics::new(report, self.trainer.of_pairs(), self.trainer.of_samples().cloned(), validation);
            self.files.iter_mut().for_each(|files| files.metrics += &metrics.to_line());
            let report = metrics.report;
            if report.step.is_multiple_of(self.intervals.checkpoint.max(1)) && !is_last {
                self.save_or_warn(&bar).await?;
            }
            bar.set_message(match &metrics.of_rewards {
                Some(rewards) => format!("reward {:.3}, {:.1} s a step", rewards.reward, report.seconds),
                None => format!("loss {:.4}, {:.0} tokens/s", report.loss, report.tokens_per_second),
            });
            bar.inc(1);
            broken = bar.suspend(|| print_step(metrics, self.session.json)).err();
        }
        bar.finish_and_clear();
        self.save_if_broken(broken).await?;
        Ok(None)
    }

    /// Saves the run if nobody takes its output any more.
    async fn save_if_broken(&mut self, broken: Option<Error>) -> Result<()> {
        let Some(error) = broken else { return Ok(()) };
        self.save().await?;
        Err(error)
    }

    /// Saves the run, unless its last step is saved already, or there is none.
    ///
    /// # Errors
    /// [`Error::Io`], or if the device was lost.
    pub async fn save(&mut self) -> Result<()> {
        let step = self.trainer.steps_done();
        let is_due = self.is_saved && step > 0 && self.saved != Some(step);
        // Another rank does not know whether the last save has failed.
        if !self.session.ranks.same(async { Ok(is_due) }).await? {
            return Ok(());
        }
        match &self.files {
            Some(files) => files.save(&mut self.trainer)?,
            None => self.trainer.hand_over_moments().await?,
        }
        self.saved = Some(step);
        Ok(())
    }

    /// Saves the run between two steps. A disk that is full now may have room at the next save.
    async fn save_or_warn(&mut self, bar: &ProgressBar) -> Result<()> {
        let Err(error) = self.save().await else { return Ok(()) };
        if !matches!(error, Error::Io { .. }) {
            return Err(error);
        }
        let step = self.trainer.steps_done();
        let stays = self.saved.map_or(String::new(), |saved| format!("; the checkpoint of step {saved} stays"));
        let next = step + self.intervals.checkpoint.max(1);
        bar.suspend(|| output::say(format_args!("warning: step {step} was not saved ({error}){stays}; the next save is at step {next}")));
        Ok(())
    }

    /// Where a run can resume whose steps failed.
    fn advice(&self, error: Error) -> Error {
        let is_resumable = matches!(error, Error::NonFinite { .. } | Error::DeviceLost { .. });
        let Some(files) = self.files.as_ref().filter(|_| is_resumable) else { return error };
        let lower = if matches!(error, Error::NonFinite { .. }) { ", with a lower --lr if you like" } else { "" };
        match self.saved {
            Some(step) => Error::Setting(format!(
                "{error}. Step {step} is saved in {}: resume from it with --resume{lower}",
                files.out.path().display()
            )),
            None => Error::Setting(format!("{error}. No step was saved before: start again{}", lower.replace(" if you like", ""))),
        }
    }
}

fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec}, {eta} left  {msg}").expect("the template is valid");
    ProgressBar::new(steps).with_style(style).with_position(done)
}

fn print_step(metrics: Metrics, json: bool) -> Result<()> {
    let reward = metrics.of_rewards.as_ref().map_or(String::new(), |rewards| format!("  reward {:.3}", rewards.reward));
    let Metrics { report, of_pairs, validation, .. } = metrics.clone();
    if json {
        let mut line = json!(Metrics { validation: None, ..metrics });
        if let Some(validation) = validation {
            line["validation_loss"] = json!(validation.loss);
            line["validation_accuracy"] = json!(validation.accuracy);
            line["validation_accuracy_by_distance"] = json!(validation.accuracy_by_distance);
        }
        return output::json(&line);
    }
    let Some(validation) = validation else { return Ok(()) };
    if metrics.of_rewards.is_some() {
        return output::line(format_args!(
            "step {:6}  loss {:.4}{reward}  reward of held-out prompts {:.3}  |g| {:.3}  lr {:.1e}  {:.2} s",
            report.step,
            report.loss,
            validation.accuracy.unwrap_or_default(),
            report.grad_norm,
            report.learning_rate,
            report.seconds
        ));
    }
    let name = if of_pairs.is_some() { "pairs" } else { "answers" };
    let accuracy = validation.accuracy.map_or(String::new(), |a| format!("  {name} {:.1} %", 100.0 * a));
    let margin = of_pairs.map_or(String::new(), |of_pairs| format!("  margin {:.3}", of_pairs.margin));
    output::line(format_args!(
        "step {:6}  loss {:.4}{margin}  validation {:.4}{accuracy}  |g| {:.3}  lr {:.1e}  {:.0} tokens/s",
        report.step, report.loss, validation.loss, report.grad_norm, report.learning_rate, report.tokens_per_second
    ))?;
    // Most tasks have all their answers at one distance.
    if validation.accuracy_by_distance.len() < 2 {
        return Ok(());
    }
    let at = |at: &AccuracyAtDistance| format!("  {}–{}: {}/{}", at.from, at.to, at.right, at.answers);
    let by_distance: String = validation.accuracy_by_distance.iter().map(at).collect();
    output::line(format_args!("             right answers by distance{by_distance}"))
}
