//! What each operation of a step takes on the device: by its own clock where it has one, and by the host's where not.

use std::ops::Range;

use web_time::{Duration, Instant};

use super::buffers::OwnedBuffer;
use super::device::Gpu;
use super::executor::Executor;
use super::tuning::Tuning;
use crate::error::Result;
use crate::step::{Moment, Turn};

/// WebGPU's `maxQueryCount`, on every adapter.
const MAX_QUERIES: u32 = 4096;
const TICK_BYTES: u64 = 8;
/// How long an operation is repeated to be timed alone.
const REPEATED_SECONDS: f64 = 0.02;

/// The time of one operation, over all chunks for which it was done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpTime {
    /// The operation.
    pub moment: Moment,
    /// How often it was done.
    pub turns: u64,
    /// What that took.
    pub seconds: f64,
}

/// Two ticks for each operation, and where they are read.
struct Clock {
    queries: wgpu::QuerySet,
    resolved: OwnedBuffer,
    read_back: OwnedBuffer,
}

impl Clock {
    fn new(gpu: &Gpu) -> Clock {
        use wgpu::BufferUsages as Usage;
        let descriptor = wgpu::QuerySetDescriptor { label: Some("profile"), ty: wgpu::QueryType::Timestamp, count: MAX_QUERIES };
        let buffer = |usage| OwnedBuffer::new(gpu, "speed measurement", u64::from(MAX_QUERIES) * TICK_BYTES, usage);
        Clock {
            queries: gpu.device.create_query_set(&descriptor),
            resolved: buffer(Usage::QUERY_RESOLVE | Usage::COPY_SRC),
            read_back: buffer(Usage::MAP_READ | Usage::COPY_DST),
        }
    }
}

impl Executor {
    /// Times each of the turns, in their order; copies to the host and back are left out, so what comes of it is of no use. It takes
    /// longer than [`Executor::run_turns`], since nothing overlaps. What goes together is timed together.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn profile(&self, numbers: Range<u64>) -> Result<Vec<OpTime>> {
        let turns: Vec<Turn> = self.program().turns(numbers).filter(|turn| self.is_dispatched(turn)).collect();
        let spans: Vec<&[Turn]> = self.spans(&turns).map(|(_, span)| span).collect();
        let seconds = if self.gpu().has_clock() { self.by_its_clock(&spans).await? } else { self.by_the_hosts_clock(&spans).await? };
        let seconds: Vec<f64> = spans.iter().zip(seconds).flat_map(|(span, seconds)| self.shared_out(span, seconds)).collect();
        let mut times: Vec<OpTime> = self.memory().moments().iter().map(|&moment| OpTime { moment, turns: 0, seconds: 0.0 }).collect();
        for (turn, seconds) in turns.iter().zip(seconds) {
            let at = times.partition_point(|t| (t.moment.block, t.moment.node) < (turn.block, turn.node));
            times[at].turns += 1;
            times[at].seconds += seconds;
        }
        times.retain(|time| time.turns > 0);
        Ok(times)
    }

    /// What a turn takes with the kernel of some tuning, at least. It writes what the turn writes.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn seconds_with(&self, turn: Turn, tuning: &Tuning) -> Result<f64> {
        let dispatch = self.dispatch_with(&turn, tuning);
        let mut repeats = 1;
        let mut least = f64::MAX;
        for _ in 0..4 {
            let started = Instant::now();
            let mut encoder = self.gpu().device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                (0..repeats).for_each(|_| self.encode_dispatch(&mut pass, &dispatch, turn));
            }
            self.gpu().queue.submit([encoder.finish()]);
            self.gpu().wait().await?;
            let seconds = started.elapsed().as_secs_f64();
            least = least.min(seconds / f64::from(repeats));
            // The first round compiles; the others should take so long that waiting does not count.
            repeats = ((REPEATED_SECONDS / seconds) as u32).clamp(1, 64);
        }
        Ok(least)
    }

    /// The time of operations that go together, to each by its share of their arithmetic.
    fn shared_out(&self, span: &[Turn], seconds: f64) -> Vec<f64> {
        let program = self.program();
        let flops = |turn: &Turn| 1.0 + program.flops(&program.blocks[turn.block].nodes[turn.node].op, turn.chunk) as f64;
        let all: f64 = span.iter().map(flops).sum();
        span.iter().map(|turn| seconds * flops(turn) / all).collect()
    }

    async fn by_its_clock(&self, spans: &[&[Turn]]) -> Result<Vec<f64>> {
        let gpu = self.gpu();
        let clock = Clock::new(gpu);
        let tick = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let mut seconds = Vec::new();
        for some in spans.chunks(MAX_QUERIES as usize / 2) {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for (span, first) in some.iter().zip((0..).step_by(2)) {
                let writes = wgpu::ComputePassTimestampWrites {
                    query_set: &clock.queries,
                    beginning_of_pass_write_index: Some(first),
                    end_of_pass_write_index: Some(first + 1),
                };
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
                self.encode(&mut encoder.begin_compute_pass(&descriptor), span);
            }
            let count = some.len() as u32 * 2;
            encoder.resolve_query_set(&clock.queries, 0..count, &clock.resolved, 0);
            encoder.copy_buffer_to_buffer(&clock.resolved, 0, &clock.read_back, 0, u64::from(count) * TICK_BYTES);
            gpu.queue.submit([encoder.finish()]);
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&gpu.map(&clock.read_back).await?);
            seconds.extend(ticks.chunks(2).take(some.len()).map(|both| both[1].saturating_sub(both[0]) as f64 * tick));
        }
        Ok(seconds)
    }

    /// One operation after the other is waited for; what waiting takes where there is nothing to do is taken off.
    async fn by_the_hosts_clock(&self, spans: &[&[Turn]]) -> Result<Vec<f64>> {
        let mut idle = Duration::MAX;
        for _ in 0..4 {
            idle = idle.min(self.time_of(&[]).await?);
        }
        let mut seconds = Vec::new();
        for span in spans {
            seconds.push(self.time_of(span).await?.saturating_sub(idle).as_secs_f64());
        }
        Ok(seconds)
    }

    async fn time_of(&self, turns: &[Turn]) -> Result<Duration> {
        let started = Instant::now();
        self.submit(turns, None);
        self.gpu().wait().await?;
        Ok(started.elapsed())
    }
}
