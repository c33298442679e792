//! What a plan asks for, allocated: buffers on the device, and room on the host for what waits there. Nothing is compiled for that.

use std::num::NonZeroU64;

use super::buffers::{self, OwnedBuffer};
use super::device::Gpu;
use super::host_memory::HostMemory;
use crate::error::Result;
use crate::step::{Plan, TensorId};

/// The buffers of a plan on a device, and its room on the host.
pub struct DeviceMemory {
    pub(super) buffers: Vec<OwnedBuffer>,
    pub(super) host: HostMemory,
}

impl DeviceMemory {
    /// Allocates what the plan says.
    ///
    /// # Errors
    /// If the device or the host has no room, or the device is lost.
    pub async fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        let host = HostMemory::new(plan)?;
        let buffers = buffers::create(gpu, plan).await?;
        Ok(DeviceMemory { buffers, host })
    }

    /// Bytes of the buffers that were created, as the device's own objects tell.
    pub fn created_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.size()).sum()
    }

    /// Bytes that wait on the host, or have room to.
    pub fn host_bytes(&self) -> u64 {
        self.host.bytes()
    }

    /// The buffer in which a tensor lies.
    pub(super) fn buffer(&self, plan: &Plan, id: TensorId) -> &OwnedBuffer {
        &self.buffers[plan.allocation(id).buffer]
    }

    /// The first bytes of a tensor as a binding.
    pub(super) fn binding(&self, plan: &Plan, id: TensorId, size: u64) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.buffer(plan, id),
            offset: plan.allocation(id).offset,
            size: NonZeroU64::new(size),
        })
    }
}
