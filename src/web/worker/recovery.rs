//! What becomes of a run whose device is lost: it waits for another one, for as long as it takes, and then goes on from its last good
//! state.

use web_time::Instant;

use super::event::Event;
use super::messages::{self, send};
use super::running::Running;
use super::state::Worker;
use super::waiting::Waiting;
use crate::error::{Error, Result};
use crate::web::protocol::{FromWorker, Go};

/// Seconds within which a browser on a busy machine tells of a loss.
const LOSS_SECONDS: f64 = 20.0;

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
