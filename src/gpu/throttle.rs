//! Throttling: limits the work of dispatches and submissions, by the measured speed of the device.

use web_time::{Duration, Instant};

use super::cutting::DispatchLimit;
use super::device::PendingWork;

/// Limits the work of a submission, and of a dispatch. A submission or a dispatch of seconds makes the operating system reset the device, and
/// a long one freezes a browser's window. Work is counted as in [`Cost::work`](crate::step::Cost::work).
pub(super) struct Throttle {
    work_per_submission: u64,
    /// The most work of a dispatch, whatever was measured: for tests.
    fixed: Option<DispatchLimit>,
    submitted: Work,
}

/// Submitted work, and the time of its start.
#[derive(Default)]
struct Work {
    work: u64,
    since: Option<Instant>,
}

/// Metrics that were requested and have not been read yet.
pub struct PendingMetrics {
    pub(super) pending: PendingWork,
    submitted: Work,
}

/// The target duration of a submission, and the longest of a dispatch.
const SUBMISSION: Duration = Duration::from_millis(100);

impl Throttle {
    /// The initial limit, before any measurement.
    pub fn new() -> Throttle {
        Throttle { work_per_submission: 1_000_000_000, fixed: None, submitted: Work::default() }
    }

    /// Fixes the most work of a dispatch.
    pub fn fix(&mut self, limit: DispatchLimit) {
        self.fixed = Some(limit);
    }

    /// The most work of a submission.
    pub fn work_per_submission(&self) -> u64 {
        self.work_per_submission
    }

    /// The most work of a dispatch.
    pub fn dispatch_limit(&self) -> DispatchLimit {
        self.fixed.unwrap_or_else(|| DispatchLimit::of(self.work_per_submission))
    }

    /// Records submitted work.
    pub fn note(&mut self, work: u64) {
        self.submitted.work += work;
        self.submitted.since.get_or_insert_with(Instant::now);
    }

    /// The metrics after all work submitted so far; `pending` is their mapping.
    pub fn pending_metrics(&mut self, pending: PendingWork) -> PendingMetrics {
        PendingMetrics { pending, submitted: std::mem::take(&mut self.submitted) }
    }

    /// Updates the limit after the device has completed `work`. Work submitted later starts now.
    fn learn(&mut self, Work { work, since }: Work) {
        if let Some(since) = since {
            let seconds = since.elapsed().as_secs_f64().max(1e-6);
            let speed = work as f64 / seconds;
            self.work_per_submission = ((speed * SUBMISSION.as_secs_f64()) as u64).clamp(100_000_000, 1_000_000_000_000);
        }
        self.submitted.since = self.submitted.since.map(|_| Instant::now());
    }
}

impl PendingMetrics {
    /// What to wait for, and the update of the throttle to apply afterwards.
    pub(super) fn parts(self) -> (PendingWork, impl FnOnce(&mut Throttle)) {
        let PendingMetrics { pending, submitted } = self;
        (pending, |throttle: &mut Throttle| throttle.learn(submitted))
    }
}
