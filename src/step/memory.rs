//! Which tensor is alive when, where it lies, and how many bytes that takes: known before anything is allocated.

use std::cmp::Reverse;

use super::packing::{self, Item};
use super::{BINDING_ALIGNMENT, Chunk, Kind, Program, Rows, Storage, TensorId};
use crate::error::{Error, Result};

/// What a device allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max_buffer_size`.
    pub buffer: u64,
    /// `max_storage_buffer_binding_size`.
    pub binding: u64,
}

impl Limits {
    /// No limit at all: for plans of what a step would need.
    pub const NONE: Limits = Limits { buffer: u64::MAX, binding: u64::MAX };
}

/// Where a tensor's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place of the buffer in [`Memory::buffers`].
    pub buffer: usize,
    /// Bytes from the buffer's start.
    pub offset: u64,
}

/// A buffer that the step needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its label on the device.
    pub label: String,
    /// Its size.
    pub bytes: u64,
    /// What it is used for.
    pub storage: Storage,
}

/// A point of a step: an operation of a block. It is the same for every chunk of the block's walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// The place of the block in [`Program::blocks`].
    pub block: usize,
    /// The place of the operation in the block.
    pub node: usize,
}

/// A tensor that is alive at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The tensor.
    pub tensor: TensorId,
    /// What it takes, alignment included.
    pub bytes: u64,
}

/// The memory of a step.
#[derive(Clone, Debug)]
pub struct Memory {
    places: Vec<Place>,
    buffers: Vec<Buffer>,
    /// For tensors in the arena: the first and the last operation at which each is alive, counted over all blocks.
    lives: Vec<Option<(u32, u32)>>,
    reserved: Vec<u64>,
    host_bytes: u64,
    alive_bytes: Vec<u64>,
    moments: Vec<Moment>,
}

impl Memory {
    /// Plans the memory of a program.
    ///
    /// # Errors
    /// [`Error::BindingTooLarge`] names the first tensor that no binding of the device can hold.
    pub fn plan(program: &Program, limits: Limits) -> Result<Self> {
        let lives = lives(program);
        let reserved: Vec<u64> = program.tensors.iter().map(reserved).collect();
        for tensor in program.tensors.iter().filter(|tensor| tensor.storage != Storage::Host) {
            let limit = limits.binding.min(limits.buffer);
            if tensor.bytes() > limit {
                return Err(Error::BindingTooLarge {
                    tensor: tensor.name.clone(),
                    bytes: tensor.bytes(),
                    limit,
                    strategy: program.strategy.kind,
                });
            }
        }
        let (places, buffers) = place(program, &lives, &reserved, limits.buffer);
        let moments: Vec<Moment> =
            program.blocks.iter().enumerate().flat_map(|(block, b)| (0..b.nodes.len()).map(move |node| Moment { block, node })).collect();
        let alive_bytes = alive_bytes(&lives, &reserved, moments.len());
        let host_bytes = program.tensors.iter().filter(|tensor| tensor.storage == Storage::Host).map(super::Tensor::bytes).sum();
        Ok(Memory { places, buffers, lives, reserved, host_bytes, alive_bytes, moments })
    }

    /// The buffers that the step needs, and nothing beside them.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Where a tensor lies.
    pub fn place(&self, id: TensorId) -> Place {
        self.places[id.0 as usize]
    }

    /// What a tensor takes on the device, alignment included.
    pub fn reserved(&self, id: TensorId) -> u64 {
        self.reserved[id.0 as usize]
    }

    /// Bytes of all buffers: what the device must grant.
    pub fn peak_bytes(&self) -> u64 {
        self.buffers.iter().map(|b| b.bytes).sum()
    }

    /// Bytes that wait on the host. The device holds nothing of them.
    pub fn host_bytes(&self) -> u64 {
        self.host_bytes
    }

    /// Bytes of the buffers in which nothing is alive even at the peak. Zero, unless tensors could not be packed without gaps.
    pub fn unused_bytes(&self) -> u64 {
        self.peak_bytes() - self.alive_bytes.iter().max().copied().unwrap_or(0)
    }

    /// Every operation, in the order of the program.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The first moment at which the most bytes are alive.
    pub fn peak(&self) -> Moment {
        let most = self.alive_bytes.iter().max();
        let at = self.alive_bytes.iter().position(|bytes| Some(bytes) == most).expect("a program has operations");
        self.moments[at]
    }

    /// Bytes alive at a moment.
    pub fn alive_bytes(&self, moment: Moment) -> u64 {
        self.alive_bytes[self.time(moment)]
    }

    /// Bytes alive at each moment in tensors that hold a chunk's rows.
    pub(super) fn chunk_bytes(&self, program: &Program) -> Vec<u64> {
        let of_chunk = |(tensor, &bytes): (&super::Tensor, &u64)| if matches!(tensor.rows, Rows::Chunk(_)) { bytes } else { 0 };
        let reserved: Vec<u64> = program.tensors.iter().zip(&self.reserved).map(of_chunk).collect();
        alive_bytes(&self.lives, &reserved, self.moments.len())
    }

    /// Every tensor that is alive on the device at a moment, the largest first.
    pub fn alive(&self, moment: Moment) -> Vec<Alive> {
        let time = self.time(moment) as u32;
        let is_alive = |life: &Option<(u32, u32)>| life.is_none_or(|(start, end)| (start..=end).contains(&time));
        let mut alive: Vec<Alive> = (0u32..)
            .zip(&self.lives)
            .filter(|&(i, life)| is_alive(life) && self.reserved[i as usize] > 0)
            .map(|(i, _)| Alive { tensor: TensorId(i), bytes: self.reserved[i as usize] })
            .collect();
        alive.sort_by_key(|alive| Reverse(alive.bytes));
        alive
    }

    /// Bytes alive at a moment, by kind, in the order of [`Kind::ALL`].
    pub fn by_kind(&self, program: &Program, moment: Moment) -> [u64; Kind::ALL.len()] {
        let mut sums = [0; Kind::ALL.len()];
        for alive in self.alive(moment) {
            sums[program.tensor(alive.tensor).kind as usize] += alive.bytes;
        }
        sums
    }

    /// [`Memory::by_kind`] of every moment, in the time that it takes to go through them once.
    pub fn kinds_over_time(&self, program: &Program) -> Vec<[u64; Kind::ALL.len()]> {
        let mut sums = [0; Kind::ALL.len()];
        let mut changes: Vec<(u32, usize, i64)> = Vec::new();
        for ((tensor, life), &bytes) in program.tensors.iter().zip(&self.lives).zip(&self.reserved) {
            let kind = tensor.kind as usize;
            match life {
                None => sums[kind] += bytes,
                Some((start, end)) => changes.extend([(*start, kind, bytes as i64), (end + 1, kind, -(bytes as i64))]),
            }
        }
        changes.sort_by_key(|&(time, ..)| time);
        let mut changes = changes.into_iter().peekable();
        let at = |time| {
            while let Some((_, kind, by)) = changes.next_if(|&(t, ..)| t <= time) {
                sums[kind] = sums[kind].wrapping_add_signed(by);
            }
            sums
        };
        (0..self.moments.len() as u32).map(at).collect()
    }

    /// The first and the last moment at which a tensor is alive. `None` if it always is.
    pub fn life(&self, id: TensorId) -> Option<[Moment; 2]> {
        self.lives[id.0 as usize].map(|(start, end)| [self.moments[start as usize], self.moments[end as usize]])
    }

    /// The chunk that is at work when the peak is first reached.
    pub fn peak_chunk(&self, program: &Program) -> Chunk {
        let walk = program.blocks[self.peak().block].walk;
        walk.chunks(program.tokens()).next().expect("a walk has a chunk")
    }

    fn time(&self, moment: Moment) -> usize {
        self.moments.partition_point(|m| (m.block, m.node) < (moment.block, moment.node))
    }
}

/// What a tensor takes: in the arena each starts where a binding may start.
fn reserved(tensor: &super::Tensor) -> u64 {
    match tensor.storage {
        Storage::Arena => tensor.bytes().next_multiple_of(BINDING_ALIGNMENT),
        Storage::Own | Storage::Uniform | Storage::ReadBack => tensor.bytes(),
        Storage::Host => 0,
    }
}

/// From the first to the last operation that touches it. What is carried from chunk to chunk is alive through the whole
/// of each block that touches it, since the next chunk's first operation comes after this one's last.
fn lives(program: &Program) -> Vec<Option<(u32, u32)>> {
    let mut lives: Vec<Option<(u32, u32)>> = vec![None; program.tensors.len()];
    let mut first = 0;
    for block in &program.blocks {
        let last = first + block.nodes.len() as u32 - 1;
        let is_repeated = block.walk.chunk_count(program.tokens()) > 1;
        for (time, node) in (first..).zip(&block.nodes) {
            for (_, id) in node.op.operands() {
                let tensor = program.tensor(id);
                if tensor.storage != Storage::Arena {
                    continue;
                }
                let is_carried = is_repeated && !matches!(tensor.rows, Rows::Chunk(_));
                let (start, end) = if is_carried { (first, last) } else { (time, time) };
                let life = lives[id.0 as usize].get_or_insert((start, end));
                *life = (life.0.min(start), life.1.max(end));
            }
        }
        first = last + 1;
    }
    lives
}

/// Gives every tensor a place: its own buffer, or a part of the arena, which is cut into buffers no larger than `limit`.
fn place(program: &Program, lives: &[Option<(u32, u32)>], reserved: &[u64], limit: u64) -> (Vec<Place>, Vec<Buffer>) {
    let mut buffers = Vec::new();
    let mut places = vec![Place { buffer: usize::MAX, offset: 0 }; program.tensors.len()];
    for (id, tensor) in program.tensors().filter(|(_, t)| !matches!(t.storage, Storage::Arena | Storage::Host)) {
        places[id.0 as usize].buffer = buffers.len();
        buffers.push(Buffer { label: tensor.name.clone(), bytes: reserved[id.0 as usize], storage: tensor.storage });
    }
    let bin = if limit == u64::MAX { limit } else { limit / BINDING_ALIGNMENT * BINDING_ALIGNMENT };
    let (ids, items): (Vec<usize>, Vec<Item>) =
        lives.iter().enumerate().filter_map(|(id, life)| life.map(|(start, end)| (id, Item { size: reserved[id], start, end }))).unzip();
    let first = buffers.len();
    for ((id, item), offset) in ids.into_iter().zip(&items).zip(packing::pack(&items, bin)) {
        let place = Place { buffer: first + (offset / bin) as usize, offset: offset % bin };
        while buffers.len() <= place.buffer {
            buffers.push(Buffer { label: format!("arena {}", buffers.len() - first), bytes: 0, storage: Storage::Arena });
        }
        let buffer = &mut buffers[place.buffer];
        buffer.bytes = buffer.bytes.max(place.offset + item.size);
        places[id] = place;
    }
    (places, buffers)
}

fn alive_bytes(lives: &[Option<(u32, u32)>], reserved: &[u64], moments: usize) -> Vec<u64> {
    let mut change = vec![0i64; moments + 1];
    let mut always = 0;
    for (life, &bytes) in lives.iter().zip(reserved) {
        match life {
            None => always += bytes as i64,
            Some((start, end)) => {
                change[*start as usize] += bytes as i64;
                change[*end as usize + 1] -= bytes as i64;
            }
        }
    }
    let mut alive = always;
    change[..moments]
        .iter()
        .map(|delta| {
            alive += delta;
            alive as u64
        })
        .collect()
}
