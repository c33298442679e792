//! A run that waits for a device.

use std::rc::Rc;
use std::sync::Arc;

use super::running::{RunState, Running, learned};
use crate::gpu::Tuning;
use crate::train::Dataset;
use crate::web::model_protocol::Request;
use crate::web::protocol::{Go, Run};

/// Seconds to the next attempt, at most.
const LONGEST_PAUSE: u32 = 30;

/// A run that waits for a device.
pub struct Waiting {
    pub run: Run,
    /// How it is to go on.
    pub go: Option<Go>,
    pub tuning: Tuning,
    pub dataset: Arc<Dataset>,
    /// `None` before the first step.
    pub good: Option<Rc<RunState>>,
    /// What the browser said of the loss.
    pub reason: String,
    pub losses: u32,
    pub attempts: u32,
}

impl Waiting {
    /// A run whose device was lost, for that reason.
    pub fn of(running: &Running, reason: String) -> Self {
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

    /// The step after which it goes on.
    pub fn step(&self) -> u64 {
        self.good.as_ref().map_or(0, |good| good.snapshot.step)
    }

    /// Seconds to the next attempt. A device that is lost again before it has done a step is given more time, too.
    pub fn pause(&self) -> u32 {
        1u32.checked_shl(self.attempts.max(self.losses) - 1).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
    }
}
