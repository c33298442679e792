//! The memory layout of a program: live ranges, allocations, and the bytes alive at every program point.

use std::ops::Range;

use super::packing::{self, Item};
use super::program::Program;
use super::tensor::{BINDING_ALIGNMENT, Rows, Storage, Tensor, TensorId};

/// The allocation of a tensor: a range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The buffer's index in [`Plan::buffers`](super::Plan::buffers).
    pub buffer: usize,
    /// The offset in the buffer, in bytes.
    pub offset: u64,
}

/// A buffer of the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its label on the device.
    pub label: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is used for.
    pub storage: Storage,
}

/// A program point: an operation of a block. It stands for that operation in every chunk of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramPoint {
    /// The block's index in [`Program::blocks`].
    pub block: usize,
    /// The operation's index in the block.
    pub node: usize,
}

/// A live range: the first and the last program point at which a tensor is alive, as indices over all blocks.
pub(super) type LiveRange = (u32, u32);

/// The runs of each block. They do not depend on chunk lengths, and take longer to find than all else here.
pub(super) type Runs = Vec<Vec<Range<usize>>>;

/// The memory layout of a program.
#[derive(Clone, Debug)]
pub(super) struct MemoryLayout {
    /// The allocations of the pieces of all tensors, one tensor after the other.
    allocations: Vec<Allocation>,
    /// Where those of each tensor begin, and the end of the last.
    first_piece: Vec<u32>,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// The live range of each tensor in the arena; `None` for the others, which are always alive, and for tensors that no operation
    /// touches.
    pub ranges: Vec<Option<LiveRange>>,
    /// Bytes of each tensor on the device, alignment included.
    pub reserved: Vec<u64>,
    /// Bytes alive at each program point.
    pub alive_bytes: Vec<u64>,
    /// All program points, in the order of the program.
    pub points: Vec<ProgramPoint>,
}

impl MemoryLayout {
    /// Lays out the tensors of a program, with the [runs](super::program::Block::runs) of each block. The arena's buffers have at most
    /// `max_buffer_size` bytes.
    pub fn new(program: &Program, runs: &Runs, max_buffer_size: u64) -> Self {
        let ranges = live_ranges(program, runs);
        let reserved: Vec<u64> = program.tensors.iter().map(reserved).collect();
        let first_piece = first_pieces(program);
        let (allocations, buffers) = allocate(program, &ranges, &first_piece, max_buffer_size);
        let of_block = |(block, nodes): (usize, usize)| (0..nodes).map(move |node| ProgramPoint { block, node });
        let points: Vec<ProgramPoint> = program.blocks.iter().map(|block| block.nodes.len()).enumerate().flat_map(of_block).collect();
        let alive_bytes = alive_bytes(&ranges, &reserved, points.len());
        MemoryLayout { allocations, first_piece, buffers, ranges, reserved, alive_bytes, points }
    }

    /// The allocations of the pieces of a tensor.
    pub fn pieces(&self, id: TensorId) -> &[Allocation] {
        let [first, end] = [0, 1].map(|i| self.first_piece[id.0 as usize + i] as usize);
        &self.allocations[first..end]
    }

    /// Bytes of all buffers.
    pub fn peak_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.bytes).sum()
    }

    /// The most bytes that are alive at one program point.
    pub fn most_alive(&self) -> u64 {
        self.alive_bytes.iter().max().copied().unwrap_or(0)
    }

    /// Bytes alive at each program point in tensors that hold a chunk's rows.
    pub fn chunk_bytes(&self, program: &Program) -> Vec<u64> {
        let of_chunk = |(tensor, &bytes): (&Tensor, &u64)| if tensor.rows == Rows::Chunk { bytes } else { 0 };
        let reserved: Vec<u64> = program.tensors.iter().zip(&self.reserved).map(of_chunk).collect();
        alive_bytes(&self.ranges, &reserved, self.points.len())
    }
}

/// Bytes of a tensor on the device.
fn reserved(tensor: &Tensor) -> u64 {
    (0..tensor.pieces()).map(|piece| reserved_piece(tensor, piece)).sum()
}

/// Bytes of a piece of a tensor on the device. In the arena each piece is aligned to the offset of a binding.
pub(super) fn reserved_piece(tensor: &Tensor, piece: u32) -> u64 {
    match tensor.storage {
        Storage::Arena => tensor.piece_bytes(piece).next_multiple_of(BINDING_ALIGNMENT),
        Storage::Own | Storage::Uniform | Storage::ReadBack => tensor.piece_bytes(piece),
        Storage::Host => 0,
    }
}

/// The number of the first piece of each tensor, if those of all are counted, and the number of all.
fn first_pieces(program: &Program) -> Vec<u32> {
    let ends = program.tensors.iter().scan(0, |end, tensor| {
        *end += tensor.pieces();
        Some(*end)
    });
    [0].into_iter().chain(ends).collect()
}

/// The live range of each tensor, from the first to the last run of operations that touches it. A tensor that carries data from chunk to chunk is
/// alive during all of each block that touches it, because a chunk's last operation comes before the next chunk's first.
fn live_ranges(program: &Program, runs: &Runs) -> Vec<Option<LiveRange>> {
    let mut ranges: Vec<Option<LiveRange>> = vec![None; program.tensors.len()];
    let mut first = 0;
    for (block, runs) in program.blocks.iter().zip(runs) {
        let last = first + block.nodes.len() as u32 - 1;
        let is_repeated = block.chunk_order.chunk_count(program.share()) > 1;
        for (run, node) in runs.iter().flat_map(|run| run.clone().map(move |node| (run, &block.nodes[node]))) {
            for id in node.op.operands().into_iter().map(|operand| operand.tensor) {
                let tensor = program.tensor(id);
                if tensor.storage != Storage::Arena {
                    continue;
                }
                let is_carried = is_repeated && tensor.rows != Rows::Chunk;
                let (start, end) = if is_carried { (first, last) } else { (first + run.start as u32, first + run.end as u32 - 1) };
                let range = ranges[id.0 as usize].get_or_insert((start, end));
                *range = (range.0.min(start), range.1.max(end));
            }
        }
        first = last + 1;
    }
    ranges
}

/// Allocates every piece of a tensor: in its own buffer, or in the arena, which is split into buffers of at most `limit` bytes.
fn allocate(program: &Program, ranges: &[Option<LiveRange>], first_piece: &[u32], limit: u64) -> (Vec<Allocation>, Vec<Buffer>) {
    let mut buffers = Vec::new();
    let mut allocations = vec![Allocation { buffer: usize::MAX, offset: 0 }; first_piece[program.tensors.len()] as usize];
    for (id, tensor) in program.tensors().filter(|(_, t)| !matches!(t.storage, Storage::Arena | Storage::Host)) {
        allocations[first_piece[id.0 as usize] as usize].buffer = buffers.len();
        buffers.push(Buffer { label: tensor.name.clone(), bytes: tensor.bytes(), storage: tensor.storage });
    }
    let bin = if limit == u64::MAX { limit } else { limit / BINDING_ALIGNMENT * BINDING_ALIGNMENT };
    let alive =
        program.tensors.iter().zip(ranges).zip(first_piece).filter_map(|((tensor, range), &first)| Some((tensor, (*range)?, first)));
    let pieces = alive.flat_map(|(tensor, (start, end), first)| {
        (0..tensor.pieces()).map(move |piece| (first + piece, Item { size: reserved_piece(tensor, piece), start, end }))
    });
    let (ids, items): (Vec<u32>, Vec<Item>) = pieces.unzip();
    let first = buffers.len();
    for ((id, item), offset) in ids.into_iter().zip(&items).zip(packing::pack(&items, bin)) {
        let allocation = Allocation { buffer: first + (offset / bin) as usize, offset: offset % bin };
        while buffers.len() <= allocation.buffer {
            buffers.push(Buffer { label: format!("arena {}", buffers.len() - first), bytes: 0, storage: Storage::Arena });
        }
        let buffer = &mut buffers[allocation.buffer];
        buffer.bytes = buffer.bytes.max(allocation.offset + item.size);
        allocations[id as usize] = allocation;
    }
    (allocations, buffers)
}

fn alive_bytes(ranges: &[Option<LiveRange>], reserved: &[u64], points: usize) -> Vec<u64> {
    let mut change = vec![0i64; points + 1];
    let mut always = 0;
    for (range, &bytes) in ranges.iter().zip(reserved) {
        match range {
            None => always += bytes as i64,
            Some((start, end)) => {
                change[*start as usize] += bytes as i64;
                change[*end as usize + 1] -= bytes as i64;
            }
        }
    }
    let mut alive = always;
    change[..points]
        .iter()
        .map(|delta| {
            alive += delta;
            alive as u64
        })
        .collect()
}
