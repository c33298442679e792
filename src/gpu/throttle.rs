//! Throttling: limits the work of a submission, by the measured speed of the device.

use web_time::{Duration, Instant};

use super::device::PendingWork;

/// Limits the work of a submission. A submission of several seconds makes the operating system reset the device, and a long one freezes a
/// browser's window.
pub(super) struct Throttle {
    pub flops_per_submission: u64,
    work: Work,
}

/// Submitted work, and the time of its start.
#[derive(Default)]
struct Work {
    flops: u64,
    since: Option<Instant>,
}

/// Metrics that were requested and have not been read yet.
pub struct PendingMetrics {
    pub(super) pending: PendingWork,
    work: Work,
}

/// The target duration of a submission.
const SUBMISSION: Duration = Duration::from_millis(100);

impl Throttle {
    /// The initial limit, before any measurement.
    pub fn new() -> Throttle {
        Throttle { flops_per_submission: 1_000_000_000, work: Work::default() }
    }

    /// Records submitted work, in floating-point operations.
    pub fn note(&mut self, flops: u64) {
        self.work.flops += flops;
        self.work.since.get_or_insert_with(Instant::now);
    }

    /// The metrics after all work submitted so far; `pending` is their mapping.
    pub fn pending_metrics(&mut self, pending: PendingWork) -> PendingMetrics {
        PendingMetrics { pending, work: std::mem::take(&mut self.work) }
    }

    /// Updates the limit after the device has completed `work`. Work submitted later starts now.
    fn learn(&mut self, Work { flops, since }: Work) {
        if let Some(since) = since {
            let seconds = since.elapsed().as_secs_f64().max(1e-6);
            let speed = flops as f64 / seconds;
            self.flops_per_submission = ((speed * SUBMISSION.as_secs_f64()) as u64).clamp(100_000_000, 1_000_000_000_000);
        }
        self.work.since = self.work.since.map(|_| Instant::now());
    }
}

impl PendingMetrics {
    /// What to wait for, and the update of the throttle to apply afterwards.
    pub(super) fn parts(self) -> (PendingWork, impl FnOnce(&mut Throttle)) {
        let PendingMetrics { pending, work } = self;
        (pending, |throttle: &mut Throttle| throttle.learn(work))
    }
}
