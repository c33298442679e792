//! What waits on the host: copied there and back a chunk at a time, behind the computation.
//!
//! Going out, a chunk is copied to a buffer that the host can map, right behind the operations before it, and taken from there when
//! the buffer is needed again or the chunk is. Coming back, it is written to the device between two submissions. So that the device need
//! not hold many chunks that came back early, there may be only a few of them on their way.

use std::collections::VecDeque;
use std::ops::Range;

use super::bound_kernels::BoundKernels;
use super::device::PendingWork;
use crate::error::{Error, Result};
use crate::step::{Chunk, OpInstance, Program, Storage, TensorId};

/// Chunks on their way to the device at once: one that is computed with, one that is ready, and one that is written.
const WRITES: usize = 3;

/// What is on its way between the device and the host.
pub(super) struct Offload {
    /// Staging buffers that hold nothing.
    free: Vec<TensorId>,
    /// Chunks on their way to the host, the oldest first.
    reads: VecDeque<Read>,
    /// For each chunk that was written to the device, the submission before it.
    writes: VecDeque<PendingWork>,
}

/// A chunk on its way to the host.
struct Read {
    pending: PendingWork,
    staging: TensorId,
    tensor: TensorId,
    bytes: Range<usize>,
}

impl Offload {
    /// Nothing is on its way yet.
    pub fn new(program: &Program) -> Self {
        Offload { free: program.bindings.staging.clone(), reads: VecDeque::new(), writes: VecDeque::new() }
    }

    /// Copies the chunk's rows to the host or back, behind what is to be done before.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn copy(&mut self, bound: &mut BoundKernels, before: &[OpInstance], [x, out]: [TensorId; 2], chunk: Chunk) -> Result<()> {
        match bound.program().tensor(out).storage {
            Storage::Host => self.copy_out(bound, before, [x, out], chunk).await,
            _ => self.copy_in(bound, before, [x, out], chunk).await,
        }
    }

    async fn copy_out(&mut self, bound: &mut BoundKernels, before: &[OpInstance], [x, out]: [TensorId; 2], chunk: Chunk) -> Result<()> {
        if self.free.is_empty() {
            self.take_oldest(bound).await?;
        }
        let staging = self.free.pop().expect("a staging buffer was freed");
        let (from, bytes) = (rows_of(bound.program(), x, chunk), rows_of(bound.program(), out, chunk));
        let submission = bound.submit(before, Some((x, from.start as u64..from.end as u64, staging)));
        let pending = bound.gpu.when_mapped(bound.memory.buffer(&bound.plan, staging), bytes.len() as u64, submission);
        self.reads.push_back(Read { pending, staging, tensor: out, bytes });
        Ok(())
    }

    async fn copy_in(&mut self, bound: &mut BoundKernels, before: &[OpInstance], [x, out]: [TensorId; 2], chunk: Chunk) -> Result<()> {
        let submission = bound.submit(before, None);
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
        let waiting = bound.memory.host.get(x).expect("the tensor lies on the host");
        bound.write(out, to.start as u64, &waiting[from]);
        Ok(())
    }

    /// Takes all that is on its way to the host.
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
        let Read { pending, staging, tensor, bytes } = self.reads.pop_front().expect("something is on its way");
        bound.gpu.wait_for(pending).await?;
        let buffer = (**bound.memory.buffer(&bound.plan, staging)).clone();
        let mapped = buffer.get_mapped_range(..bytes.len() as u64).map_err(|e| Error::Device(e.to_string()))?;
        bound.memory.host.write(tensor, bytes, &mapped);
        drop(mapped);
        buffer.unmap();
        self.free.push(staging);
        Ok(())
    }
}

/// Where the chunk's rows lie in a tensor.
fn rows_of(program: &Program, id: TensorId, chunk: Chunk) -> Range<usize> {
    let tensor = program.tensor(id);
    let first = u64::from(tensor.rows.row_of(chunk.start, chunk));
    let row_bytes = tensor.row_bytes();
    (first * row_bytes) as usize..((first + u64::from(chunk.count)) * row_bytes) as usize
}
