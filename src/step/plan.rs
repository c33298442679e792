//! The memory plan of a program on a device: chunk lengths, live ranges, allocations, and the peak. All of it is known before anything is
//! allocated.

use std::cmp::Reverse;
use std::ops::Range;

use super::adaptive_chunks;
use super::chunk::Chunk;
use super::memory_layout::{Allocation, Buffer, LiveRange, MemoryLayout, ProgramPoint};
use super::pieces;
use super::program::{Block, Program};
use super::tensor::{Storage, Tensor, TensorId, TensorKind};
use crate::error::{Error, Result};

/// The device limits that a plan respects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `maxBufferSize`, in bytes.
    pub buffer: u64,
    /// `maxStorageBufferBindingSize`, in bytes.
    pub binding: u64,
}

impl Limits {
    /// No limits: to plan what a step would need.
    pub const NONE: Limits = Limits { buffer: u64::MAX, binding: u64::MAX };
    /// What browsers allow on most GPUs.
    pub const WEBGPU: Limits = Limits { buffer: 2 << 30, binding: (2 << 30) - 4 };
    /// What wgpu allows on Vulkan: the drivers of GPUs have larger buffers than can be bound at once.
    pub const VULKAN: Limits = Limits { buffer: u64::MAX, binding: (2 << 30) - 4 };
}

/// A tensor that is alive at a program point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTensor {
    /// The tensor.
    pub tensor: TensorId,
    /// Its bytes, alignment included.
    pub bytes: u64,
}

/// A program with its memory layout: exactly what an executor allocates.
#[derive(Clone, Debug)]
pub struct Plan {
    program: Program,
    memory: MemoryLayout,
}

impl Plan {
    /// Plans a program for a device. If the strategy has adaptive chunks, the plan's program has longer chunks than `program`.
    ///
    /// # Errors
    /// [`Error::BindingTooLarge`] with the first tensor that is larger than the device's bindings or buffers, and cannot lie in pieces.
    pub fn new(mut program: Program, limits: Limits) -> Result<Self> {
        let runs = program.blocks.iter().map(Block::runs).collect();
        if program.strategy.has_adaptive_chunks() {
            adaptive_chunks::lengthen(&mut program, &runs);
        }
        let limit = limits.binding.min(limits.buffer);
        pieces::cut(&mut program, limit);
        let limit_of = |tensor: &Tensor| match tensor.storage {
            Storage::Host => u64::MAX,
            // No kernel binds it, or a slot of it at most.
            Storage::ReadBack | Storage::Uniform => limits.buffer,
            Storage::Own | Storage::Arena => limit,
        };
        let is_too_large = |tensor: &&Tensor| tensor.piece_bytes(0) > limit_of(tensor);
        if let Some(tensor) = program.tensors.iter().find(is_too_large) {
            let (tensor, bytes, limit) = (tensor.name.clone(), tensor.bytes(), limit_of(tensor));
            return Err(Error::BindingTooLarge { tensor, bytes, limit, advice: program.strategy.kind.advice() });
        }
        let memory = MemoryLayout::new(&program, &runs, limits.buffer);
        Ok(Plan { program, memory })
    }

    /// The program, with its final chunk lengths.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// All buffers of the step.
    pub fn buffers(&self) -> &[Buffer] {
        &self.memory.buffers
    }

    /// The allocations of the pieces of a tensor, in order. A tensor has one, unless no binding of the device can hold it.
    pub fn pieces(&self, id: TensorId) -> &[Allocation] {
        self.memory.pieces(id)
    }

    /// The allocation of a tensor that has only one piece.
    ///
    /// # Panics
    /// If it has several.
    pub fn allocation(&self, id: TensorId) -> Allocation {
        let [alone] = self.pieces(id) else { panic!("{} lies in several pieces", self.program.tensor(id).name) };
        *alone
    }

    /// Where some bytes of a tensor are: for each piece of them, its allocation, with an offset of its first of these bytes, and their number.
    pub fn ranges(&self, id: TensorId, bytes: Range<u64>) -> Vec<(Allocation, u64)> {
        let mut found = Vec::new();
        let mut first = 0;
        for (number, allocation) in (0..).zip(self.pieces(id)) {
            let end = first + self.program.tensor(id).piece_bytes(number);
            let (from, to) = (bytes.start.max(first), bytes.end.min(end));
            if from < to {
                found.push((Allocation { offset: allocation.offset + from - first, ..*allocation }, to - from));
            }
            first = end;
        }
        found
    }

    /// Bytes of a tensor on the device, alignment included; zero for tensors that are offloaded to the host.
    pub fn reserved(&self, id: TensorId) -> u64 {
        self.memory.reserved[id.0 as usize]
    }

    /// Bytes of all buffers: the device memory that the step needs.
    pub fn peak_bytes(&self) -> u64 {
        self.memory.peak_bytes()
    }

    /// Bytes in host memory: layer inputs that are offloaded. They take no device memory.
    pub fn host_bytes(&self) -> u64 {
        self.program.tensors.iter().filter(|tensor| tensor.storage == Storage::Host).map(Tensor::bytes).sum()
    }

    /// Bytes of the buffers that are unused even at the peak: gaps of the packing, often zero.
    pub fn unused_bytes(&self) -> u64 {
        self.peak_bytes() - self.memory.most_alive()
    }

    /// All program points, in the order of the program.
    pub fn points(&self) -> &[ProgramPoint] {
        &self.memory.points
    }

    /// The peak: the first program point at which the most bytes are alive.
    pub fn peak(&self) -> ProgramPoint {
        let most = self.memory.most_alive();
        let at = self.memory.alive_bytes.iter().position(|&bytes| bytes == most).expect("a program has operations");
        self.memory.points[at]
    }

    /// The chunk for which the peak is first reached.
    pub fn peak_chunk(&self) -> Chunk {
        let order = self.program.blocks[self.peak().block].chunk_order;
        order.chunks(self.program.share()).next().expect("a block has a chunk")
    }

    /// Bytes alive at a program point.
    pub fn alive_bytes(&self, point: ProgramPoint) -> u64 {
        self.memory.alive_bytes[self.index(point)]
    }

    /// All tensors that are alive on the device at a program point, the largest first.
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

    /// Bytes alive at a program point, by kind, in the order of [`TensorKind::ALL`].
    pub fn by_kind(&self, point: ProgramPoint) -> [u64; TensorKind::ALL.len()] {
        let mut sums = [0; TensorKind::ALL.len()];
        for alive in self.alive(point) {
            sums[self.program.tensor(alive.tensor).kind as usize] += alive.bytes;
        }
        sums
    }

    /// [`Plan::by_kind`] of every program point, computed in one pass over them.
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

    /// The live range of a tensor: the first and the last program point at which it is alive. `None` if it always is.
    pub fn live_range(&self, id: TensorId) -> Option<[ProgramPoint; 2]> {
        self.memory.ranges[id.0 as usize].map(|(start, end)| [start, end].map(|index| self.memory.points[index as usize]))
    }

    fn index(&self, point: ProgramPoint) -> usize {
        self.memory.points.partition_point(|p| (p.block, p.node) < (point.block, point.node))
    }
}
