//! How fast the adapter can multiply and add, measured: what a step's speed is held against.

use web_time::Instant;

use super::buffers::OwnedBuffer;
use super::device::Gpu;
use super::shader;
use crate::error::Result;

/// Threads of a measurement: enough for a large GPU.
const THREADS: u32 = 64 * 1024;
/// What a thread does in a round: 16 chains of four multiply-adds, two operations each.
const FLOPS_PER_ROUND: f64 = 16.0 * 4.0 * 2.0;
/// A round should take about this long: more, and a browser's window would stand still.
const SECONDS: f64 = 0.04;

impl Gpu {
    /// The most f32 operations a second that a loop of nothing but `fma` reaches, in 10⁹.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn peak_gflops(&self) -> Result<f64> {
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("peak"),
            source: wgpu::ShaderSource::Wgsl(shader::peak_wgsl().into()),
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("peak"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let mut rounds = 16;
        let mut best: f64 = 0.0;
        for _ in 0..8 {
            let seconds = self.time_rounds(&pipeline, rounds).await?;
            best = best.max(f64::from(THREADS) * f64::from(rounds) * FLOPS_PER_ROUND / seconds / 1e9);
            rounds = (f64::from(rounds) * (SECONDS / seconds).clamp(0.5, 8.0)).ceil() as u32;
        }
        Ok(best)
    }

    async fn time_rounds(&self, pipeline: &wgpu::ComputePipeline, rounds: u32) -> Result<f64> {
        use wgpu::BufferUsages as Usage;
        let buffer = |size, usage| OwnedBuffer::new(self, "speed measurement", size, usage);
        let params = buffer(16, Usage::UNIFORM | Usage::COPY_DST);
        let out = buffer(u64::from(THREADS) * 16, Usage::STORAGE | Usage::COPY_SRC);
        let read_back = buffer(16, Usage::MAP_READ | Usage::COPY_DST);
        self.queue.write_buffer(&params, 0, bytemuck::bytes_of(&rounds));
        let bind_group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("peak"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: params.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: out.as_entire_binding() },
            ],
        });
        let started = Instant::now();
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(THREADS / 64, 1, 1);
        }
        encoder.copy_buffer_to_buffer(&out, 0, &read_back, 0, 16);
        self.queue.submit([encoder.finish()]);
        self.map(&read_back).await?;
        Ok(started.elapsed().as_secs_f64())
    }
}
