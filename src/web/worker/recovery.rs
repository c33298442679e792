//! What becomes of a run whose device is lost: it waits for another one, for as long as it takes, and then goes on from its last good
//! state.

use std::rc::Rc;
use std::sync::Arc;

use web_time::Instant;

use super::messages::{self, send};
use super::running::{RunState, Running, learned};
use super::{Event, Worker};
use crate::error::{Error, Result};
use crate::gpu::Tuning;
use crate::train::Dataset;
use crate::web::model_protocol::Request;
use crate::web::protocol::{FromWorker, Go, Run};

/// Seconds within which a browser on a busy machine tells of a loss.
const LOSS_SECONDS: f64 = 20.0;
/// Seconds to the next attempt, at most.
const LONGEST_PAUSE: u32 = 30;

/// A run that waits for a device.
pub struct Waiting {
    run: Run,
    /// How it is to go on.
    pub go: Option<Go>,
    tuning: Tuning,
    dataset: Arc<Dataset>,
    /// `None` before the first step.
    good: Option<Rc<RunState>>,
    /// What the browser said of the loss.
    reason: String,
    losses: u32,
    attempts: u32,
}

impl Waiting {
    fn of(running: &Running, reason: String) -> Self {
        Waiting {
            run: running.run.clone(),
            go: running.go,
            tuning: running.tuning(),
            dataset: running.dataset(),
            good: running.last_good(),
            reason,
            losses: running.losses + 1,
            attempts: 0,
        }
    }

    /// What the run has learned by its last good state, for the model worker to pack.
    pub fn learned(&self) -> Option<(Request, Vec<u8>)> {
        self.good.as_ref().map(|good| learned(&self.run, good.snapshot.step, &good.snapshot.weights))
    }

    fn step(&self) -> u64 {
        self.good.as_ref().map_or(0, |good| good.snapshot.step)
    }

    /// Seconds to the next attempt. A device that is lost again before it has done a step is given more time, too.
    fn pause(&self) -> u32 {
        1u32.checked_shl(self.attempts.max(self.losses) - 1).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
    }
}

impl Worker {
    /// Lets the run go on from its last good state if its device was lost; says what is wrong otherwise.
    pub(super) async fn recover(&mut self, error: Error) {
        // What a lost device breaks may be heard of before the loss itself.
        let heard = Instant::now();
        while matches!(error, Error::Device(_)) && !self.is_lost() && heard.elapsed().as_secs_f64() < LOSS_SECONDS {
            messages::sleep(0.1).await;
        }
        let (reason, is_lost) = match &error {
            Error::DeviceLost { reason } => (reason.clone(), true),
            // A device that has reported an error is of no more use, but would report it again.
            Error::Device(message) => (message.clone(), self.is_lost()),
            _ => return self.fail(&error),
        };
        self.drop_device();
        match self.running.take() {
            Some(mut running) => {
                // A step that breaks the device would break the next one.
                running.go = running.go.filter(|_| is_lost);
                let losses = running.losses;
                self.waiting = Some(Waiting::of(&running, reason));
                drop(running);
                if losses == 0 { self.open_now().await } else { self.wait(None).await }
            }
            None if self.waiting.is_none() => self.replace_device(&error, is_lost, reason).await,
            // It opens another one in a while.
            None => {}
        }
    }

    /// Nothing was lost but the device itself.
    async fn replace_device(&mut self, error: &Error, is_lost: bool, reason: String) {
        if !is_lost {
            return self.fail(error);
        }
        match self.open().await {
            Ok(_) => send(&FromWorker::Recovered { step: 0, reason, go: None }),
            Err(error) => self.fail(&error),
        }
    }

    /// Opens a device for the run that waits for one, unless another attempt came in between.
    pub(super) async fn open_again(&mut self, attempts: u32) {
        if self.waiting.as_ref().is_some_and(|waiting| waiting.attempts == attempts) {
            self.open_now().await;
        }
    }

    /// Opens a device for the run that waits for one.
    pub(super) async fn open_now(&mut self) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.attempts += 1;
        match self.begun_again().await {
            Ok(running) => self.go_on(running).await,
            Err(error) => {
                // The device may be what is wrong.
                self.drop_device();
                self.wait(Some(&error)).await;
            }
        }
    }

    async fn begun_again(&mut self) -> Result<Running> {
        let gpu = self.open().await?;
        let waiting = self.waiting.as_ref().expect("it waits");
        let gpu = gpu.with_tuning(waiting.tuning);
        let mut running = Running::begin(&gpu, waiting.run.clone(), waiting.dataset.clone(), &self.models, waiting.good.clone()).await?;
        running.losses = waiting.losses;
        Ok(running)
    }

    async fn go_on(&mut self, running: Running) {
        let Some(waiting) = self.waiting.take() else { return };
        // In slow motion the step starts anew: the visitor goes on when he has seen that.
        let go = waiting.go.filter(|go| matches!(go, Go::Continuous | Go::OneStep));
        self.take(running);
        send(&FromWorker::Recovered { step: waiting.step(), reason: waiting.reason, go });
        match go {
            Some(go) => self.go(go),
            None => self.pause().await,
        }
    }

    /// Keeps the run, saves it where that is possible, and tries again after a pause.
    async fn wait(&mut self, error: Option<&Error>) {
        let Some(waiting) = &self.waiting else { return };
        let problem = match error {
            Some(Error::NoWebGpu | Error::NoBrowserAdapter | Error::NoAdapter { .. }) => None,
            Some(error) => Some(error.to_string()),
            None => Some(waiting.reason.clone()),
        };
        let (step, attempts, seconds) = (waiting.step(), waiting.attempts, waiting.pause());
        send(&FromWorker::WaitsForDevice { step, attempts, problem, seconds });
        messages::wake_after(&self.to_itself, f64::from(seconds), Event::OpenAgain(attempts));
        let (run, tuning, good) = (waiting.run.clone(), waiting.tuning, waiting.good.clone());
        if let Some(good) = good {
            self.save_state(&run, tuning, &good).await;
        }
    }
}
