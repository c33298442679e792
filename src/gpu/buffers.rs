//! Buffers: those of a plan, and the few beside it. Every one of them is counted while it lives.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::step::{Memory, Storage};

/// Bytes of all living buffers of a device, by what they are for.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Ledger {
    /// What there is, by use.
    pub fn entries(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().expect("no holder panics").iter().filter(|(_, bytes)| **bytes > 0).map(|(name, bytes)| (*name, *bytes)).collect()
    }

    fn change(&self, name: &'static str, by: i128) {
        let mut entries = self.0.lock().expect("no holder panics");
        let bytes = entries.entry(name).or_default();
        *bytes = (i128::from(*bytes) + by) as u64;
    }
}

/// A buffer whose bytes are given back when it goes: a browser would wait for its garbage collector.
pub(super) struct OwnedBuffer {
    buffer: wgpu::Buffer,
    ledger: Ledger,
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
        gpu.ledger.change(used_for, i128::from(size));
        OwnedBuffer { buffer, ledger: gpu.ledger.clone(), used_for }
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
        self.ledger.change(self.used_for, -i128::from(self.buffer.size()));
    }
}

/// The buffers of a plan, in its order.
///
/// # Errors
/// [`Error::OutOfMemory`] names the buffer for which there was no room; those made before it are given back.
pub(super) async fn create(gpu: &Gpu, memory: &Memory) -> Result<Vec<OwnedBuffer>> {
    let mut buffers = Vec::new();
    for planned in memory.buffers() {
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = OwnedBuffer::labelled(gpu, gpu.used_for, &planned.label, planned.bytes, usage(planned.storage));
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
        Storage::Uniform => Usage::UNIFORM | Usage::COPY_DST | Usage::COPY_SRC,
        Storage::ReadBack => Usage::MAP_READ | Usage::COPY_DST,
        Storage::Host => unreachable!("what waits on the host has no buffer"),
    }
}
