//! The allocated memory of a plan: buffers on the device, and host memory for offloaded tensors. Allocation compiles nothing.

use std::num::NonZeroU64;
use std::ops::Range;

use super::buffers::{self, OwnedBuffer};
use super::device::Gpu;
use super::host_memory::HostMemory;
use crate::error::Result;
use crate::step::{Allocation, Plan, TensorId};

/// The buffers of a plan on a device, and its host memory.
pub struct DeviceMemory {
    pub(super) buffers: Vec<OwnedBuffer>,
    pub(super) host: HostMemory,
}

impl DeviceMemory {
    /// Allocates the memory of the plan.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::error::Error::OutOfMemory) or [`Error::OutOfHostMemory`](crate::error::Error::OutOfHostMemory), or if
    /// the device was lost.
    pub async fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        let host = HostMemory::new(plan)?;
        let buffers = buffers::create(gpu, plan).await?;
        Ok(DeviceMemory { buffers, host })
    }

    /// Bytes of the created buffers, as reported by the buffers themselves.
    pub fn created_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.size()).sum()
    }

    /// Bytes of host memory for offloaded tensors.
    pub fn host_bytes(&self) -> u64 {
        self.host.bytes()
    }

    /// The buffer of a tensor that has one.
    pub(super) fn buffer(&self, plan: &Plan, id: TensorId) -> &OwnedBuffer {
        &self.buffers[plan.allocation(id).buffer]
    }

    /// The buffer of some bytes of a tensor, with the offset of the first of them, for each piece of the tensor that has some; and their
    /// number.
    pub(super) fn ranges(&self, plan: &Plan, id: TensorId, bytes: Range<u64>) -> impl Iterator<Item = (&OwnedBuffer, u64, u64)> {
        let ranges = plan.ranges(id, bytes).into_iter();
        ranges.map(|(allocation, bytes)| (&self.buffers[allocation.buffer], allocation.offset, bytes))
    }

    /// Copies some bytes of a tensor to the start of a buffer.
    pub(super) fn copy(&self, plan: &Plan, encoder: &mut wgpu::CommandEncoder, id: TensorId, bytes: Range<u64>, target: &wgpu::Buffer) {
        let mut at = 0;
        for (source, offset, bytes) in self.ranges(plan, id, bytes) {
            encoder.copy_buffer_to_buffer(source, offset, target, at, bytes);
            at += bytes;
        }
    }

    /// A binding of the first `size` bytes of a tensor, or of one of its pieces.
    pub(super) fn binding(&self, plan: &Plan, id: TensorId, piece: u32, size: u64) -> wgpu::BindingResource<'_> {
        let Allocation { buffer, offset } = plan.pieces(id)[piece as usize];
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffers[buffer], offset, size: NonZeroU64::new(size) })
    }
}
