//! How much work goes into one submission, learned from how fast the device was.

use web_time::{Duration, Instant};

use super::device::PendingWork;

/// How much work goes into one submission. Devices that see no end of one for seconds are reset by their system, and a
/// browser's window stands still behind a long one.
pub(super) struct Throttle {
    pub flops_per_submission: u64,
    work: Work,
}

/// Work that was handed to the device, and since when.
#[derive(Default)]
struct Work {
    flops: u64,
    since: Option<Instant>,
}

/// Metrics that were asked for and have not been read.
pub struct PendingMetrics {
    pub(super) pending: PendingWork,
    work: Work,
}

/// What a submission should take.
const SUBMISSION: Duration = Duration::from_millis(100);

impl Throttle {
    /// Before anything is known of the device.
    pub fn new() -> Throttle {
        Throttle { flops_per_submission: 1_000_000_000, work: Work::default() }
    }

    /// So much was handed to the device.
    pub fn note(&mut self, flops: u64) {
        self.work.flops += flops;
        self.work.since.get_or_insert_with(Instant::now);
    }

    /// `pending` is the end of what was handed to the device so far.
    pub fn pending_metrics(&mut self, pending: PendingWork) -> PendingMetrics {
        PendingMetrics { pending, work: std::mem::take(&mut self.work) }
    }

    /// The device is done with what was handed to it before something was asked for. What it was given later begins now.
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
    /// What to wait for, and what to learn from it afterwards.
    pub(super) fn parts(self) -> (PendingWork, impl FnOnce(&mut Throttle)) {
        let PendingMetrics { pending, work } = self;
        (pending, |throttle: &mut Throttle| throttle.learn(work))
    }
}
