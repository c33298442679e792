//! The profiler: times each operation of a step, by timestamp queries if the device supports them, otherwise by the host's clock.

use std::ops::Range;

use web_time::{Duration, Instant};

use super::bound_kernels::BoundKernels;
use super::buffers::OwnedBuffer;
use super::cutting::DispatchLimit;
use super::device::Gpu;
use super::part::Part;
use super::tuning::Tuning;
use crate::error::Result;
use crate::step::{OpInstance, ProgramPoint};

/// WebGPU's `maxQueryCount`, on every adapter.
const MAX_QUERIES: u32 = 4096;
const TICK_BYTES: u64 = 8;
/// The target duration of repeating an operation that is timed alone.
const REPEATED_SECONDS: f64 = 0.02;

/// The time of one operation, summed over chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpTime {
    /// The operation.
    pub point: ProgramPoint,
    /// The number of timed instances.
    pub instances: u64,
    /// Their total time in seconds.
    pub seconds: f64,
}

/// Timestamp queries, two per dispatch, with the buffers that they are read through.
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

/// Times a range of operation instances, summed by operation. It skips host copies, so the results in the tensors are meaningless. It takes
/// longer than running them because nothing overlaps. Fused operations are timed together.
///
/// # Errors
/// If the device was lost or has reported an error.
pub(super) async fn profile(bound: &BoundKernels, numbers: Range<u64>, limit: DispatchLimit) -> Result<Vec<OpTime>> {
    let instances: Vec<OpInstance> = bound.program().instances(numbers).filter(|instance| bound.has_kernel(instance)).collect();
    let spans: Vec<&[OpInstance]> = bound.spans(&instances).map(|(_, span)| span).collect();
    let seconds =
        if bound.gpu.has_clock() { by_its_clock(bound, &spans, limit).await? } else { by_the_hosts_clock(bound, &spans, limit).await? };
    let seconds: Vec<f64> = spans.iter().zip(seconds).flat_map(|(span, seconds)| shared_out(bound, span, seconds)).collect();
    let mut times: Vec<OpTime> = bound.plan.points().iter().map(|&point| OpTime { point, instances: 0, seconds: 0.0 }).collect();
    for (instance, seconds) in instances.iter().zip(seconds) {
        let at = times.partition_point(|t| (t.point.block, t.point.node) < (instance.block, instance.node));
        times[at].instances += 1;
        times[at].seconds += seconds;
    }
    times.retain(|time| time.instances > 0);
    Ok(times)
}

/// The least measured time in seconds of an operation with the kernel of another tuning. It overwrites the operation's outputs.
///
/// # Errors
/// If the device was lost or has reported an error.
pub(super) async fn seconds_with(bound: &BoundKernels, instance: OpInstance, tuning: &Tuning) -> Result<f64> {
    let dispatch = bound.dispatch_with(&instance, tuning);
    let mut repeats = 1;
    let mut least = f64::MAX;
    for _ in 0..4 {
        let started = Instant::now();
        let mut encoder = bound.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            (0..repeats).for_each(|_| bound.encode_dispatch(&mut pass, &dispatch, instance, &Part::whole(instance.chunk)));
        }
        bound.gpu.queue.submit([encoder.finish()]);
        bound.gpu.wait().await?;
        let seconds = started.elapsed().as_secs_f64();
        least = least.min(seconds / f64::from(repeats));
        // The first round includes compilation. The others should take long enough that the overhead of waiting is negligible.
        repeats = ((REPEATED_SECONDS / seconds) as u32).clamp(1, 64);
    }
    Ok(least)
}

/// Splits the time of fused operations in proportion to their floating-point operations.
fn shared_out(bound: &BoundKernels, span: &[OpInstance], seconds: f64) -> Vec<f64> {
    let program = bound.program();
    let flops = |instance: &OpInstance| 1.0 + program.flops(program.op(instance.block, instance.node), instance.chunk) as f64;
    let all: f64 = span.iter().map(flops).sum();
    span.iter().map(|instance| seconds * flops(instance) / all).collect()
}

/// Dispatches that are timed in one submission: whole ones, or a part of one.
struct Timed<'a> {
    /// The place of each among all dispatches, with its operations.
    dispatches: Vec<(usize, &'a [OpInstance])>,
    part: Option<Part>,
}

/// Groups dispatches into submissions that take no longer than a dispatch may.
fn submissions<'a>(bound: &BoundKernels, spans: &[&'a [OpInstance]], limit: DispatchLimit) -> Vec<Timed<'a>> {
    let mut all: Vec<Timed> = Vec::new();
    let mut work = 0;
    for (place, &span) in spans.iter().enumerate() {
        let parts = bound.spans(span).flat_map(|(dispatch, span)| bound.parts(dispatch, span, limit));
        let parts: Vec<Part> = parts.collect();
        if parts.len() > 1 {
            all.extend(parts.into_iter().map(|part| Timed { dispatches: vec![(place, span)], part: Some(part) }));
            work = u64::MAX;
            continue;
        }
        let of_span = bound.work(span);
        match all.last_mut().filter(|last| last.dispatches.len() < MAX_QUERIES as usize / 2) {
            Some(last) if of_span.saturating_add(work) <= limit.work => {
                last.dispatches.push((place, span));
                work += of_span;
            }
            _ => {
                all.push(Timed { dispatches: vec![(place, span)], part: None });
                work = of_span;
            }
        }
    }
    all
}

async fn by_its_clock(bound: &BoundKernels, spans: &[&[OpInstance]], limit: DispatchLimit) -> Result<Vec<f64>> {
    let gpu = &bound.gpu;
    let clock = Clock::new(gpu);
    let tick = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
    let mut seconds = vec![0.0; spans.len()];
    for Timed { dispatches, part } in submissions(bound, spans, limit) {
        let whole = Part::whole(dispatches[0].1[0].chunk);
        if let Some(part) = &part {
            bound.write_part(dispatches[0].1[0], part);
        }
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for ((_, span), first) in dispatches.iter().zip((0..).step_by(2)) {
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &clock.queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            };
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            for (dispatch, span) in bound.spans(span) {
                bound.encode_dispatch(&mut pass, dispatch, span[0], part.as_ref().unwrap_or(&Part::whole(span[0].chunk)));
            }
        }
        let count = dispatches.len() as u32 * 2;
        encoder.resolve_query_set(&clock.queries, 0..count, &clock.resolved, 0);
        encoder.copy_buffer_to_buffer(&clock.resolved, 0, &clock.read_back, 0, u64::from(count) * TICK_BYTES);
        gpu.queue.submit([encoder.finish()]);
        if part.is_some() {
            bound.write_part(dispatches[0].1[0], &whole);
        }
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&gpu.map(&clock.read_back).await?);
        for ((place, _), both) in dispatches.iter().zip(ticks.chunks(2)) {
            seconds[*place] += both[1].saturating_sub(both[0]) as f64 * tick;
        }
    }
    Ok(seconds)
}

/// Waits for one dispatch after the other, and subtracts the time of waiting for an empty submission.
async fn by_the_hosts_clock(bound: &BoundKernels, spans: &[&[OpInstance]], limit: DispatchLimit) -> Result<Vec<f64>> {
    let mut idle = Duration::MAX;
    for _ in 0..4 {
        idle = idle.min(time_of(bound, &[], limit).await?);
    }
    let mut seconds = Vec::new();
    for span in spans {
        seconds.push(time_of(bound, span, limit).await?.saturating_sub(idle).as_secs_f64());
    }
    Ok(seconds)
}

async fn time_of(bound: &BoundKernels, instances: &[OpInstance], limit: DispatchLimit) -> Result<Duration> {
    let started = Instant::now();
    bound.submit(instances, limit, None);
    bound.gpu.wait().await?;
    Ok(started.elapsed())
}
