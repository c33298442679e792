//! Room for a program: what its plan says, made. Nothing is compiled for that.

use super::buffers::{self, OwnedBuffer};
use super::device::Gpu;
use super::offload::Offload;
use crate::error::Result;
use crate::step::{Memory, Program};

/// The buffers of a program on a device, and the room on the host for what waits there.
pub struct Allocation {
    pub(super) memory: Memory,
    pub(super) buffers: Vec<OwnedBuffer>,
    pub(super) offload: Offload,
}

impl Allocation {
    /// Allocates what the program's [`Memory`] says.
    ///
    /// # Errors
    /// If the device cannot bind or hold the plan, or is lost; or if the host has no room.
    pub async fn new(gpu: &Gpu, program: &Program) -> Result<Self> {
        let memory = Memory::plan(program, gpu.limits())?;
        let offload = Offload::new(program, &memory)?;
        let buffers = buffers::create(gpu, &memory).await?;
        Ok(Allocation { memory, buffers, offload })
    }

    /// The plan.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Bytes of the buffers that were created, as the device's own objects tell.
    pub fn created_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.size()).sum()
    }

    /// Bytes that wait on the host, or have room to.
    pub fn host_bytes(&self) -> u64 {
        self.offload.bytes()
    }
}
