//! Creates the buffers that a plan names, and nothing else.

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::step::{Memory, Storage};

/// The buffers of a plan, in its order.
///
/// # Errors
/// [`Error::OutOfMemory`] names the buffer for which there was no room; those made before it are given back.
pub(super) async fn create(gpu: &Gpu, memory: &Memory) -> Result<Vec<wgpu::Buffer>> {
    let mut buffers = Vec::new();
    for planned in memory.buffers() {
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&planned.label),
            size: planned.bytes,
            usage: usage(planned.storage),
            mapped_at_creation: false,
        });
        if scope.pop().await.is_some() {
            return Err(Error::OutOfMemory {
                needed: memory.peak_bytes(),
                buffer: planned.label.clone(),
                remedy: "use a shorter sequence, a shorter chunk, or the strategy stream".to_owned(),
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
        Storage::Uniform => Usage::UNIFORM | Usage::COPY_DST,
        Storage::ReadBack => Usage::MAP_READ | Usage::COPY_DST,
    }
}
