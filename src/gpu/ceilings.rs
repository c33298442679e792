//! Measured peak arithmetic throughput and memory bandwidth of the adapter: the ceilings of the roofline model (Williams et al. 2009).

use web_time::Instant;

use super::buffers::OwnedBuffer;
use super::device::Gpu;
use super::shader::{self, Constants};
use crate::error::Result;

/// The ceilings of an adapter, as measured.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ceilings {
    /// Peak f32 throughput of a loop of `fma`, in 10⁹ operations per second; a multiply-add counts as two.
    pub gflops: f64,
    /// Bandwidth of a copying shader, in 10⁹ bytes per second, read and written bytes together.
    pub gigabytes_per_second: f64,
    /// The time in seconds of a dispatch that has nothing to do.
    pub dispatch_seconds: f64,
    /// Peak f32 throughput of a single workgroup of 64 threads, in 10⁹ operations per second: how many of them fill the device.
    pub workgroup_gflops: f64,
    /// Is it a driver that runs on a CPU?
    pub is_cpu: bool,
}

impl Ceilings {
    /// The least time in seconds for `flops` operations and `bytes` bytes, and whether it is bound by arithmetic.
    pub fn least_seconds(&self, flops: u64, bytes: u64) -> (f64, bool) {
        let (arithmetic, traffic) = (flops as f64 / self.gflops / 1e9, bytes as f64 / self.gigabytes_per_second / 1e9);
        (arithmetic.max(traffic), arithmetic >= traffic)
    }

    /// Workgroups that keep the device busy: for each one that computes there is another while it waits for memory.
    pub fn busy_workgroups(&self) -> u32 {
        (2.0 * self.gflops / self.workgroup_gflops).ceil() as u32
    }
}

/// Threads of a measurement: enough to fill a large GPU.
const THREADS: u32 = 64 * 1024;
/// Threads of a workgroup.
const WORKGROUP: u32 = 64;
/// Unroll factors of the loop of `peak`. Some drivers have a cost per iteration, others suffer from code that exceeds the instruction
/// cache, so the best factor counts.
const UNROLLED: [u32; 3] = [4, 16, 64];
/// Independent chains of `vec4` multiply-adds per thread of `peak`.
const LINKS: u32 = 8;
/// Bytes that a thread of `copy` moves per iteration: 16 read and 16 written.
const BYTES_PER_ROUND: f64 = 32.0;
/// The size of the buffer of `copy`, both halves together: more than most caches hold.
const COPIED_BYTES: u64 = 64 << 20;
/// The intended duration of a measurement. A longer one would freeze a browser's window.
const SECONDS: f64 = 0.04;
/// Workgroups of a dispatch that has nothing to do: as few as those of a short chunk, but enough to wake all cores of a CPU.
const FEW_WORKGROUPS: u32 = 16;
/// Dispatches whose time is that of starting them.
const DISPATCHES: u32 = 1024;
/// Repetitions of each measurement.
const TRIES: u32 = 6;

impl Gpu {
    /// Measures the ceilings and the time of a dispatch, in about a second.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn ceilings(&self) -> Result<Ceilings> {
        let [of_all, of_workgroup] = [THREADS, WORKGROUP].map(|threads| f64::from(threads) / 1e9);
        let (mut gflops, mut workgroup_gflops): (f64, f64) = (0.0, 0.0);
        for unroll in UNROLLED {
            let peak = Measurement::new(self, "peak", &vec![("UNROLL", unroll)], u64::from(THREADS) * 16);
            let of_round = f64::from(unroll * LINKS * 4 * 2);
            let of_device = peak.rounds_per_second(THREADS / WORKGROUP).await? * of_all * of_round;
            if of_device > gflops {
                gflops = of_device;
                workgroup_gflops = peak.rounds_per_second(1).await? * of_workgroup * of_round;
            }
        }
        let copy = Measurement::new(self, "copy", &Vec::new(), COPIED_BYTES);
        let gigabytes_per_second = copy.rounds_per_second(THREADS / WORKGROUP).await? * of_all * BYTES_PER_ROUND;
        let dispatch_seconds = copy.seconds_per_dispatch().await?;
        let is_cpu = self.tuning().is_for_cpu();
        Ok(Ceilings { gflops, gigabytes_per_second, dispatch_seconds, workgroup_gflops: workgroup_gflops.min(gflops), is_cpu })
    }
}

/// A shader that runs a loop for a given number of iterations, with its buffers.
struct Measurement<'a> {
    gpu: &'a Gpu,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    params: OwnedBuffer,
    out: OwnedBuffer,
    read_back: OwnedBuffer,
}

impl<'a> Measurement<'a> {
    fn new(gpu: &'a Gpu, stem: &'static str, constants: &Constants, bytes: u64) -> Self {
        use wgpu::BufferUsages as Usage;
        let label = Some(stem);
        let source = wgpu::ShaderSource::Wgsl(shader::part(stem, constants).into());
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let buffer = |size, usage| OwnedBuffer::new(gpu, "speed measurement", size, usage);
        let params = buffer(16, Usage::UNIFORM | Usage::COPY_DST);
        let out = buffer(bytes, Usage::STORAGE | Usage::COPY_SRC);
        let read_back = buffer(16, Usage::MAP_READ | Usage::COPY_DST);
        let entries =
            [(0, &params), (1, &out)].map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
        let layout = &pipeline.get_bind_group_layout(0);
        let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries: &entries });
        Measurement { gpu, pipeline, bind_group, params, out, read_back }
    }

    /// The most iterations per second, each done by all threads of so many workgroups, over several tries.
    async fn rounds_per_second(&self, workgroups: u32) -> Result<f64> {
        let mut rounds = 16;
        let mut best: f64 = 0.0;
        for _ in 0..TRIES {
            let seconds = self.time(rounds, workgroups, 1).await?;
            best = best.max(f64::from(rounds) / seconds);
            rounds = (f64::from(rounds) * (SECONDS / seconds).clamp(0.5, 8.0)).ceil() as u32;
        }
        Ok(best)
    }

    /// The least time of one more dispatch without an iteration, over several tries.
    async fn seconds_per_dispatch(&self) -> Result<f64> {
        let (mut one, mut many) = (f64::MAX, f64::MAX);
        for _ in 0..TRIES {
            one = one.min(self.time(0, FEW_WORKGROUPS, 1).await?);
            many = many.min(self.time(0, FEW_WORKGROUPS, DISPATCHES).await?);
        }
        Ok((many - one).max(0.0) / f64::from(DISPATCHES - 1))
    }

    /// The time of so many dispatches of so many workgroups, with so many iterations each.
    async fn time(&self, rounds: u32, workgroups: u32, dispatches: u32) -> Result<f64> {
        self.gpu.queue.write_buffer(&self.params, 0, bytemuck::bytes_of(&rounds));
        let started = Instant::now();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bind_group, &[]);
            (0..dispatches).for_each(|_| pass.dispatch_workgroups(workgroups, 1, 1));
        }
        encoder.copy_buffer_to_buffer(&self.out, 0, &self.read_back, 0, 16);
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.map(&self.read_back).await?;
        Ok(started.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_multiply_add_is_counted() {
        for unroll in UNROLLED {
            let text = shader::part("peak", &vec![("UNROLL", unroll)]);
            assert_eq!(text.matches("fma(").count() as u32, unroll * LINKS);
        }
    }
}
