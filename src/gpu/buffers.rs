//! GPU buffers: those of a plan and a few others. The memory counter counts each of them until it is dropped.

use std::ops::Deref;

use super::device::Gpu;
use super::memory_counter::MemoryCounter;
use crate::error::{Error, Result};
use crate::step::{Plan, Storage};

/// A buffer that is destroyed when it is dropped. Otherwise a browser would free it only after garbage collection.
pub(super) struct OwnedBuffer {
    buffer: wgpu::Buffer,
    memory_counter: MemoryCounter,
    used_for: &'static str,
}

impl OwnedBuffer {
    /// Creates a buffer of `size` bytes. `used_for` is its name in the memory counter.
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

/// Creates the buffers of a plan, in the order of [`Plan::buffers`].
///
/// # Errors
/// [`Error::OutOfMemory`] with the first buffer that could not be allocated; the earlier ones are freed. Also if the device was lost.
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
        Storage::Host => unreachable!("a tensor in host memory has no buffer"),
    }
}
