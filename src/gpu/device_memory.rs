//! The allocated memory of a plan: buffers on the device, and host memory for offloaded tensors. Allocation compiles nothing.

use std::num::NonZeroU64;

use super::buffers::{self, OwnedBuffer};
use super::device::Gpu;
use super::host_memory::HostMemory;
use crate::error::Result;
use crate::step::{Plan, TensorId};

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

    /// The buffer of a tensor.
    pub(super) fn buffer(&self, plan: &Plan, id: TensorId) -> &OwnedBuffer {
        &self.buffers[plan.allocation(id).buffer]
    }

    /// A binding of the first `size` bytes of a tensor.
    pub(super) fn binding(&self, plan: &Plan, id: TensorId, size: u64) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.buffer(plan, id),
            offset: plan.allocation(id).offset,
            size: NonZeroU64::new(size),
        })
    }
}
