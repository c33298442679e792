//! Offloading to the host: copies chunks of layer inputs to host memory and back, overlapped with the computation.
//!
//! On the way out, a chunk is copied to a staging buffer right after the operations before it. The host reads the staging buffer when the
//! buffer or the chunk is needed again. On the way back, a chunk is written to the device between two submissions. Only a few writes may be
//! in flight, so that the queue does not hold many chunks that arrived early.

use std::collections::VecDeque;
use std::ops::Range;

use super::bound_kernels::BoundKernels;
use super::cutting::DispatchLimit;
use super::device::PendingWork;
use crate::error::{Error, Result};
use crate::step::{Chunk, OpInstance, Program, Storage, TensorId};

/// Writes to the device in flight at once: one chunk is computed with, one is ready, and one is being written.
const WRITES: usize = 3;

/// The copies in flight between device and host.
pub(super) struct Offload {
    /// Free staging buffers.
    free: Vec<TensorId>,
    /// Chunks in flight to the host, the oldest first.
    reads: VecDeque<Read>,
    /// The submission before each chunk that was written to the device.
    writes: VecDeque<PendingWork>,
}

/// The operations before a copy, and the most work of their dispatches.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub instances: &'a [OpInstance],
    pub limit: DispatchLimit,
}

/// A chunk in flight to the host.
struct Read {
    pending: PendingWork,
    staging: TensorId,
    staged_bytes: u64,
    tensor: TensorId,
    bytes: Range<usize>,
}

impl Offload {
    /// No copies in flight.
    pub fn new(program: &Program) -> Self {
        Offload { free: program.bindings.staging.clone(), reads: VecDeque::new(), writes: VecDeque::new() }
    }

    /// Copies the chunk's rows of a tensor to the host or back, after the operations before it.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn copy(&mut self, bound: &mut BoundKernels, before: Before<'_>, [x, out]: [TensorId; 2], chunk: Chunk) -> Result<()> {
        match bound.program().tensor(out).storage {
            Storage::Host => self.copy_out(bound, before, [x, out], chunk).await,
            _ => self.copy_in(bound, before, [x, out], chunk).await,
        }
    }

    async fn copy_out(&mut self, bound: &mut BoundKernels, before: Before<'_>, [x, out]: [TensorId; 2], chunk: Chunk) -> Result<()> {
        if self.free.is_empty() {
            self.take_oldest(bound).await?;
        }
        let staging = self.free.pop().expect("a staging buffer was freed");
        let (from, bytes) = (rows_of(bound.program(), x, chunk), rows_of(bound.program(), out, chunk));
        let submission = bound.submit(before.instances, before.limit, Some((x, from.start as u64..from.end as u64, staging)));
        let pending = bound.gpu.when_mapped(bound.memory.buffer(&bound.plan, staging), from.len() as u64, submission);
        self.reads.push_back(Read { pending, staging, staged_bytes: from.len() as u64, tensor: out, bytes });
        Ok(())
    }

    async fn copy_in(&mut self, bound: &mut BoundKernels, before: Before<'_>, [x, out]: [TensorId; 2], chunk: Chunk) -> Result<()> {
        let submission = bound.submit(before.instances, before.limit, None);
        let from = rows_of(bound.program(), x, chunk);
        while self.reads.iter().any(|read| read.tensor == x && read.bytes == from) {
            self.take_oldest(bound).await?;
        }
        self.writes.push_back(bound.gpu.when_done(submission));
        if self.writes.len() == WRITES {
            let oldest = self.writes.pop_front().expect("there are some");
            bound.gpu.wait_for(oldest).await?;
        }
        let to = rows_of(bound.program(), out, chunk);
        let waiting = bound.memory.host.get(x).expect("the tensor is in host memory");
        bound.write(out, to.start as u64, &waiting[from]);
        Ok(())
    }

    /// Completes all copies to the host.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn take_all(&mut self, bound: &mut BoundKernels) -> Result<()> {
        while !self.reads.is_empty() {
            self.take_oldest(bound).await?;
        }
        Ok(())
    }

    async fn take_oldest(&mut self, bound: &mut BoundKernels) -> Result<()> {
        let Read { pending, staging, staged_bytes, tensor, bytes } = self.reads.pop_front().expect("a copy is in flight");
        bound.gpu.wait_for(pending).await?;
        let buffer = (**bound.memory.buffer(&bound.plan, staging)).clone();
        let mapped = buffer.get_mapped_range(..staged_bytes).map_err(|e| Error::Device(e.to_string()))?;
        if bytes.len() as u64 == staged_bytes {
            bound.memory.host.write(tensor, bytes, &mapped);
        } else {
            bound.memory.host.write(tensor, bytes, &bf16_of(&mapped));
        }
        drop(mapped);
        buffer.unmap();
        self.free.push(staging);
        Ok(())
    }
}

/// The upper halves of f32s that are rounded to bf16.
fn bf16_of(rounded: &[u8]) -> Vec<u8> {
    rounded.chunks_exact(4).flat_map(|float| [float[2], float[3]]).collect()
}

/// The byte range of the chunk's rows in a tensor.
fn rows_of(program: &Program, id: TensorId, chunk: Chunk) -> Range<usize> {
    let tensor = program.tensor(id);
    let first = u64::from(tensor.row_of(chunk.start, chunk));
    let row_bytes = tensor.row_bytes();
    (first * row_bytes) as usize..((first + u64::from(chunk.count)) * row_bytes) as usize
}
