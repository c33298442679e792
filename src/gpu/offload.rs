//! What waits on the host: copied there and back a chunk at a time, behind the computation.
//!
//! Going out, a chunk is copied to a buffer that the host can map, right behind the operations before it, and taken from there when
//! the buffer is needed again or the chunk is. Coming back, it is written to the device between two submissions. So that the device need
//! not hold many chunks that came back early, there may be only a few of them on their way.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use super::device::Ticket;
use super::executor::Executor;
use crate::error::{Error, Result};
use crate::step::{Chunk, Memory, Program, Storage, TensorId, Turn};

/// Chunks on their way to the device at once: one that is computed with, one that is ready, and one that is written.
const WRITES: usize = 3;

/// The host's side of a program's tensors.
pub(super) struct Offload {
    tensors: HashMap<TensorId, Vec<u8>>,
    /// Staging buffers that hold nothing.
    free: Vec<TensorId>,
    /// Chunks on their way to the host, the oldest first.
    reads: VecDeque<Read>,
    /// For each chunk that was written to the device, the submission before it.
    writes: VecDeque<Ticket>,
}

/// A chunk on its way to the host.
struct Read {
    ticket: Ticket,
    staging: TensorId,
    tensor: TensorId,
    bytes: Range<usize>,
}

impl Offload {
    /// Makes room for all that is to wait.
    ///
    /// # Errors
    /// [`Error::OutOfHostMemory`].
    pub fn new(program: &Program, memory: &Memory) -> Result<Self> {
        let mut tensors = HashMap::new();
        for (id, tensor) in program.tensors().filter(|(_, tensor)| tensor.storage == Storage::Host) {
            let bytes = usize::try_from(tensor.bytes()).unwrap_or(usize::MAX);
            let mut room = Vec::new();
            room.try_reserve_exact(bytes).map_err(|_| Error::OutOfHostMemory { needed: memory.host_bytes() })?;
            room.resize(bytes, 0);
            tensors.insert(id, room);
        }
        Ok(Offload { tensors, free: program.bindings.staging.clone(), reads: VecDeque::new(), writes: VecDeque::new() })
    }

    /// A tensor, if it waits here.
    pub fn get(&self, id: TensorId) -> Option<&[u8]> {
        self.tensors.get(&id).map(Vec::as_slice)
    }

    /// Bytes that are waiting, or have room to.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|bytes| bytes.len() as u64).sum()
    }
}

impl Executor {
    /// Copies the chunk's rows to the host or back, behind what is to be done before.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub(super) async fn move_rows(&mut self, before: &[Turn], x: TensorId, out: TensorId, chunk: Chunk) -> Result<()> {
        match self.program().tensor(out).storage {
            Storage::Host => self.move_out(before, x, out, chunk).await,
            _ => self.move_in(before, x, out, chunk).await,
        }
    }

    async fn move_out(&mut self, before: &[Turn], x: TensorId, out: TensorId, chunk: Chunk) -> Result<()> {
        if self.allocation.offload.free.is_empty() {
            self.take_oldest().await?;
        }
        let staging = self.allocation.offload.free.pop().expect("a staging buffer was freed");
        let (from, bytes) = (self.rows_of(x, chunk), self.rows_of(out, chunk));
        let submission = self.submit(before, Some((x, from.start as u64..from.end as u64, staging)));
        let ticket = self.gpu().when_mapped(self.buffer(staging), bytes.len() as u64, submission);
        self.allocation.offload.reads.push_back(Read { ticket, staging, tensor: out, bytes });
        Ok(())
    }

    async fn move_in(&mut self, before: &[Turn], x: TensorId, out: TensorId, chunk: Chunk) -> Result<()> {
        let submission = self.submit(before, None);
        let from = self.rows_of(x, chunk);
        while self.allocation.offload.reads.iter().any(|read| read.tensor == x && read.bytes == from) {
            self.take_oldest().await?;
        }
        self.allocation.offload.writes.push_back(self.gpu().when_done(submission));
        if self.allocation.offload.writes.len() == WRITES {
            let oldest = self.allocation.offload.writes.pop_front().expect("there are some");
            self.gpu().redeem(oldest).await?;
        }
        let to = self.rows_of(out, chunk);
        self.write_from(out, to.start as u64, &self.allocation.offload.tensors[&x][from]);
        Ok(())
    }

    /// Takes all that is on its way to the host.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub(super) async fn take_all(&mut self) -> Result<()> {
        while !self.allocation.offload.reads.is_empty() {
            self.take_oldest().await?;
        }
        Ok(())
    }

    async fn take_oldest(&mut self) -> Result<()> {
        let Read { ticket, staging, tensor, bytes } = self.allocation.offload.reads.pop_front().expect("something is on its way");
        self.gpu().redeem(ticket).await?;
        let buffer = self.allocation.buffers[self.memory().place(staging).buffer].clone();
        let mapped = buffer.get_mapped_range(..bytes.len() as u64).map_err(|e| Error::Device(e.to_string()))?;
        self.allocation.offload.tensors.get_mut(&tensor).expect("it has room on the host")[bytes].copy_from_slice(&mapped);
        drop(mapped);
        buffer.unmap();
        self.allocation.offload.free.push(staging);
        Ok(())
    }

    /// Where the chunk's rows lie in a tensor.
    fn rows_of(&self, id: TensorId, chunk: Chunk) -> Range<usize> {
        let tensor = self.program().tensor(id);
        let first = u64::from(tensor.rows.row_of(chunk.start, chunk));
        let row_bytes = tensor.row_bytes();
        (first * row_bytes) as usize..((first + u64::from(chunk.count)) * row_bytes) as usize
    }

    fn buffer(&self, id: TensorId) -> &wgpu::Buffer {
        &self.allocation.buffers[self.memory().place(id).buffer]
    }
}
