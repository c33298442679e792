//! Buffers: those of a plan, and the few beside it. Every one of them is counted while it lives.

use std::ops::Deref;

use super::device::Gpu;
use super::memory_counter::MemoryCounter;
use crate::error::{Error, Result};
use crate::step::{Plan, Storage};

/// A buffer whose bytes are given back when it goes: a browser would wait for its garbage collector.
pub(super) struct OwnedBuffer {
    buffer: wgpu::Buffer,
    memory_counter: MemoryCounter,
    used_for: &'static str,
}

impl OwnedBuffer {
    /// Creates a buffer for some use.
    pub fn new(gpu: &Gpu, used_for: &'static str, size: u64, usage: wgpu::BufferUsages) -> Self {
        Self::labelled(gpu, used_for, used_for, size, usage)
    }

    fn labelled(gpu: &Gpu, used_for: &'static str, label: &str, size: u64, usage: wgpu::BufferUsages) -> Self {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = gpu.device.create_buffer(&descriptor);
        gpu.memory_counter.change(used_for, i128::from(size));
        OwnedBuffer { buffer, memory_counter: gpu.memory_counter.clone(), used_for }
    }
}

impl Deref for OwnedBuffer {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        self.buffer.destroy();
        self.memory_counter.change(self.used_for, -i128::from(self.buffer.size()));
    }
}

/// The buffers of a plan, in its order.
///
/// # Errors
/// [`Error::OutOfMemory`] names the buffer for which there was no room; those made before it are given back.
pub(super) async fn create(gpu: &Gpu, plan: &Plan) -> Result<Vec<OwnedBuffer>> {
    let mut buffers = Vec::new();
    for planned in plan.buffers() {
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = OwnedBuffer::labelled(gpu, gpu.used_for, &planned.label, planned.bytes, usage(planned.storage));
        if scope.pop().await.is_some() {
            return Err(Error::OutOfMemory {
                needed: plan.peak_bytes(),
                buffer: planned.label.clone(),
                suggestion: "use a shorter sequence, a shorter chunk, or the strategy stream".to_owned(),
            });
        }
        buffers.push(buffer);
    }
    gpu.check()?;
    Ok(buffers)
}

fn usage(storage: Storage) -> wgpu::BufferUsages {
    use wgpu::BufferUsages as Usage;
    match storage {
        Storage::Own | Storage::Arena => Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC,
        Storage::Uniform => Usage::UNIFORM | Usage::COPY_DST | Usage::COPY_SRC,
        Storage::ReadBack => Usage::MAP_READ | Usage::COPY_DST,
        Storage::Host => unreachable!("what waits on the host has no buffer"),
    }
}
