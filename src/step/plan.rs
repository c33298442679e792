//! A step made ready for a device: how long its chunks are, which tensor is alive when, where it lies, and how many bytes that takes. All
//! of it is known before anything is allocated.

use std::cmp::Reverse;

use super::adaptive_chunks;
use super::chunk::Chunk;
use super::memory_layout::{Allocation, Buffer, LiveRange, MemoryLayout, ProgramPoint};
use super::program::Program;
use super::tensor::{Storage, Tensor, TensorId, TensorKind};
use crate::error::{Error, Result};

/// What a device allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `maxBufferSize`, in bytes.
    pub buffer: u64,
    /// `maxStorageBufferBindingSize`, in bytes.
    pub binding: u64,
}

impl Limits {
    /// No limit at all: for plans of what a step would need.
    pub const NONE: Limits = Limits { buffer: u64::MAX, binding: u64::MAX };
}

/// A tensor that is alive at a point of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTensor {
    /// The tensor.
    pub tensor: TensorId,
    /// Bytes that it takes, alignment included.
    pub bytes: u64,
}

/// A program with its memory: what an executor allocates, and nothing else.
#[derive(Clone, Debug)]
pub struct Plan {
    program: Program,
    memory: MemoryLayout,
}

impl Plan {
    /// Plans a program for a device. Where the strategy has adaptive chunks, the plan's program has longer ones than the program that is
    /// given.
    ///
    /// # Errors
    /// [`Error::BindingTooLarge`] names the first tensor that no binding of the device can hold.
    pub fn new(mut program: Program, limits: Limits) -> Result<Self> {
        if program.strategy.has_adaptive_chunks() {
            adaptive_chunks::lengthen(&mut program);
        }
        let limit = limits.binding.min(limits.buffer);
        let is_too_large = |tensor: &&Tensor| tensor.storage != Storage::Host && tensor.bytes() > limit;
        if let Some(tensor) = program.tensors.iter().find(is_too_large) {
            let (tensor, bytes) = (tensor.name.clone(), tensor.bytes());
            return Err(Error::BindingTooLarge { tensor, bytes, limit, advice: program.strategy.kind.advice() });
        }
        let memory = MemoryLayout::new(&program, limits.buffer);
        Ok(Plan { program, memory })
    }

    /// The program, with the chunks that it runs in.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The buffers that the step needs, and nothing beside them.
    pub fn buffers(&self) -> &[Buffer] {
        &self.memory.buffers
    }

    /// Where a tensor lies.
    pub fn allocation(&self, id: TensorId) -> Allocation {
        self.memory.allocations[id.0 as usize]
    }

    /// Bytes that a tensor takes on the device, alignment included.
    pub fn reserved(&self, id: TensorId) -> u64 {
        self.memory.reserved[id.0 as usize]
    }

    /// Bytes of all buffers: what the device must grant.
    pub fn peak_bytes(&self) -> u64 {
        self.memory.peak_bytes()
    }

    /// Bytes that wait on the host. The device holds nothing of them.
    pub fn host_bytes(&self) -> u64 {
        self.program.tensors.iter().filter(|tensor| tensor.storage == Storage::Host).map(Tensor::bytes).sum()
    }

    /// Bytes of the buffers in which nothing is alive even at the peak. Zero, unless tensors could not be packed without gaps.
    pub fn unused_bytes(&self) -> u64 {
        self.peak_bytes() - self.memory.most_alive()
    }

    /// Every operation, in the order of the program.
    pub fn points(&self) -> &[ProgramPoint] {
        &self.memory.points
    }

    /// The first point at which the most bytes are alive.
    pub fn peak(&self) -> ProgramPoint {
        let most = self.memory.most_alive();
        let at = self.memory.alive_bytes.iter().position(|&bytes| bytes == most).expect("a program has operations");
        self.memory.points[at]
    }

    /// The chunk that is at work when the peak is first reached.
    pub fn peak_chunk(&self) -> Chunk {
        let order = self.program.blocks[self.peak().block].chunk_order;
        order.chunks(self.program.tokens()).next().expect("a block has a chunk")
    }

    /// Bytes alive at a point.
    pub fn alive_bytes(&self, point: ProgramPoint) -> u64 {
        self.memory.alive_bytes[self.index(point)]
    }

    /// Every tensor that is alive on the device at a point, the largest first.
    pub fn alive(&self, point: ProgramPoint) -> Vec<LiveTensor> {
        let index = self.index(point) as u32;
        let is_alive = |range: &Option<LiveRange>| range.is_none_or(|(start, end)| (start..=end).contains(&index));
        let mut alive: Vec<LiveTensor> = (0u32..)
            .zip(&self.memory.ranges)
            .filter(|&(i, range)| is_alive(range) && self.memory.reserved[i as usize] > 0)
            .map(|(i, _)| LiveTensor { tensor: TensorId(i), bytes: self.memory.reserved[i as usize] })
            .collect();
        alive.sort_by_key(|alive| Reverse(alive.bytes));
        alive
    }

    /// Bytes alive at a point, by kind, in the order of [`TensorKind::ALL`].
    pub fn by_kind(&self, point: ProgramPoint) -> [u64; TensorKind::ALL.len()] {
        let mut sums = [0; TensorKind::ALL.len()];
        for alive in self.alive(point) {
            sums[self.program.tensor(alive.tensor).kind as usize] += alive.bytes;
        }
        sums
    }

    /// [`Plan::by_kind`] of every point, in the time that it takes to go through them once.
    pub fn kinds_over_time(&self) -> Vec<[u64; TensorKind::ALL.len()]> {
        let mut sums = [0; TensorKind::ALL.len()];
        let mut changes: Vec<(u32, usize, i64)> = Vec::new();
        for ((tensor, range), &bytes) in self.program.tensors.iter().zip(&self.memory.ranges).zip(&self.memory.reserved) {
            let kind = tensor.kind as usize;
            match range {
                None => sums[kind] += bytes,
                Some((start, end)) => changes.extend([(*start, kind, bytes as i64), (end + 1, kind, -(bytes as i64))]),
            }
        }
        changes.sort_by_key(|&(index, ..)| index);
        let mut changes = changes.into_iter().peekable();
        let at = |index| {
            while let Some((_, kind, by)) = changes.next_if(|&(i, ..)| i <= index) {
                sums[kind] = sums[kind].wrapping_add_signed(by);
            }
            sums
        };
        (0..self.memory.points.len() as u32).map(at).collect()
    }

    /// The first and the last point at which a tensor is alive. `None` if it always is.
    pub fn live_range(&self, id: TensorId) -> Option<[ProgramPoint; 2]> {
        self.memory.ranges[id.0 as usize].map(|(start, end)| [start, end].map(|index| self.memory.points[index as usize]))
    }

    fn index(&self, point: ProgramPoint) -> usize {
        self.memory.points.partition_point(|p| (p.block, p.node) < (point.block, point.node))
    }
}
