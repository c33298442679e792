//! A program on a device.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::allocation::Allocation;
use super::buffers::OwnedBuffer;
use super::device::Gpu;
use super::dispatch::Slot;
use super::pace::{Asked, Pace};
use crate::error::{Error, Result};
use crate::step::{BINDING_ALIGNMENT, Batch, Chunk, Memory, Op, Pass, Program, TensorId, Turn};

/// A program with its buffers, ready to run.
pub struct Executor {
    gpu: Gpu,
    program: Arc<Program>,
    pub(super) allocation: Allocation,
    /// For every block, its operations.
    pub(super) blocks: Vec<Vec<Option<Slot>>>,
    /// For every length of chunk that a walk has, the slot of its first chunk.
    chunk_slots: Vec<(u32, u32)>,
    pace: Pace,
    done: Arc<AtomicU64>,
}

impl Executor {
    /// Allocates what the program's [`Memory`] says, compiles its shaders, and writes its constants.
    ///
    /// # Errors
    /// As [`Allocation::new`].
    pub async fn new(gpu: &Gpu, program: Program) -> Result<Self> {
        let allocation = Allocation::new(gpu, &program).await?;
        let (chunk_slots, program) = (chunk_slots(&program), Arc::new(program));
        let pace = Pace::new();
        let mut executor = Executor { gpu: gpu.clone(), program, allocation, blocks: Vec::new(), chunk_slots, pace, done: Arc::default() };
        executor.prepare();
        executor.gpu.check()?;
        Ok(executor)
    }

    fn prepare(&mut self) {
        let (params, blocks) = self.dispatches();
        self.blocks = blocks;
        self.write(self.program.bindings.op_params, &params);
        self.write(self.program.bindings.chunks, &self.chunk_table());
        for (id, bytes) in self.program.constants() {
            self.write(id, &bytes);
        }
    }

    /// A slot for each chunk of each walk: its first token and its number of tokens.
    fn chunk_table(&self) -> Vec<u8> {
        let tokens = self.program.tokens();
        let chunks =
            self.chunk_slots.iter().flat_map(|&(len, _)| (0..tokens.div_ceil(len)).map(move |i| [i * len, len.min(tokens - i * len)]));
        let mut table = Vec::new();
        for (slot, chunk) in chunks.enumerate() {
            table.resize(slot * BINDING_ALIGNMENT as usize, 0);
            table.extend_from_slice(bytemuck::cast_slice(&chunk));
        }
        table
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The plan of its memory.
    pub fn memory(&self) -> &Memory {
        self.allocation.memory()
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Bytes of the buffers that were created, as the device's own objects tell.
    pub fn created_bytes(&self) -> u64 {
        self.allocation.created_bytes()
    }

    /// Bytes that wait on the host, or have room to.
    pub fn host_bytes(&self) -> u64 {
        self.allocation.host_bytes()
    }

    /// Writes a tensor, in the layout of the device.
    ///
    /// # Panics
    /// If there are more bytes than the tensor has.
    pub fn write(&self, id: TensorId, bytes: &[u8]) {
        self.write_from(id, 0, bytes);
    }

    pub(super) fn write_from(&self, id: TensorId, from: u64, bytes: &[u8]) {
        let tensor = self.program.tensor(id);
        let end = from + bytes.len() as u64;
        assert!(end <= tensor.bytes(), "{} bytes from {from} on for {}, which has {}", bytes.len(), tensor.name, tensor.bytes());
        let place = self.memory().place(id);
        self.gpu.queue.write_buffer(&self.allocation.buffers[place.buffer], place.offset + from, bytes);
    }

    /// Reads a tensor, in the layout of the device. The buffer by which it comes is no part of the plan, and gone at once.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read(&self, id: TensorId) -> Result<Vec<u8>> {
        let bytes = self.program.tensor(id).bytes();
        self.read_range(id, 0, bytes).await
    }

    /// Reads a part of a tensor, from a byte on.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_range(&self, id: TensorId, from: u64, bytes: u64) -> Result<Vec<u8>> {
        if let Some(waiting) = self.allocation.offload.get(id) {
            return Ok(waiting[from as usize..(from + bytes) as usize].to_vec());
        }
        let staging = OwnedBuffer::new(&self.gpu, "read-back", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        self.copy_to(id, from, &staging);
        self.gpu.map(&staging).await
    }

    /// Loss, gradient norm and what belongs to them, as [`crate::step::update::metrics`] orders them. Waits for the device.
    ///
    /// # Errors
    /// If the device was lost or reported an error.
    pub async fn metrics(&mut self) -> Result<[f32; 4]> {
        let asked = self.ask_metrics();
        self.metrics_asked(asked).await
    }

    /// Asks for the metrics as they are behind what was handed to the device so far. It does not wait for it.
    pub fn ask_metrics(&mut self) -> Asked {
        let read_back = self.read_back();
        let submission = self.copy_to(self.program.bindings.metrics, 0, read_back);
        let ticket = self.gpu.when_mapped(read_back, read_back.size(), submission);
        self.pace.ask(ticket)
    }

    /// Waits for metrics that were asked for. What was handed to the device later goes on meanwhile.
    ///
    /// # Errors
    /// As [`Executor::metrics`].
    pub async fn metrics_asked(&mut self, asked: Asked) -> Result<[f32; 4]> {
        let (ticket, learn) = asked.parts();
        self.gpu.redeem(ticket).await?;
        let metrics = {
            let bytes = self.read_back().get_mapped_range(..).map_err(|e| Error::Device(e.to_string()))?;
            bytemuck::pod_read_unaligned(&bytes)
        };
        self.read_back().unmap();
        learn(&mut self.pace);
        Ok(metrics)
    }

    fn read_back(&self) -> &OwnedBuffer {
        &self.allocation.buffers[self.memory().place(self.program.bindings.read_back).buffer]
    }

    fn copy_to(&self, id: TensorId, from: u64, target: &wgpu::Buffer) -> wgpu::SubmissionIndex {
        let place = self.memory().place(id);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.allocation.buffers[place.buffer], place.offset + from, target, 0, target.size());
        self.gpu.queue.submit([encoder.finish()])
    }

    /// Writes a batch.
    pub fn load_batch(&self, batch: &Batch) {
        for (id, bytes) in self.program.inputs(batch) {
            self.write(id, &bytes);
        }
    }

    /// Hands some passes of the step to the device, a little at a time. It does not wait for it.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn run(&mut self, passes: RangeInclusive<Pass>) -> Result<()> {
        self.run_turns(self.program.span(passes)).await
    }

    /// Hands some turns of the step to the device, a little at a time. It does not wait for it.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn run_turns(&mut self, numbers: Range<u64>) -> Result<()> {
        let program = self.program.clone();
        let mut todo = Vec::new();
        let mut flops = 0;
        let mut all = 0;
        let mut turns = (numbers.start + 1..).zip(program.turns(numbers.clone())).peekable();
        while let Some((number, turn)) = turns.next() {
            let op = &program.blocks[turn.block].nodes[turn.node].op;
            if let Op::Move { x, out } = *op {
                self.move_rows(&std::mem::take(&mut todo), x, out, turn.chunk).await?;
                self.note_when_done(number);
                flops = 0;
                continue;
            }
            todo.push(turn);
            let cost = program.flops(op, turn.chunk);
            flops += cost;
            all += cost;
            if flops >= self.pace.flops_per_submission && turns.peek().is_none_or(|(_, next)| self.may_start_with(next)) {
                self.submit(&todo, None);
                self.note_when_done(number);
                todo.clear();
                flops = 0;
            }
        }
        self.submit(&todo, None);
        self.note_when_done(numbers.end);
        self.take_all().await?;
        self.pace.note(all);
        self.gpu.check()
    }

    /// Turns of the step that the device is known to have done. It lags behind by a submission.
    pub fn turns_done(&self) -> Arc<AtomicU64> {
        self.done.clone()
    }

    fn note_when_done(&self, number: u64) {
        let done = self.done.clone();
        self.gpu.queue.on_submitted_work_done(move || done.store(number, Ordering::Relaxed));
    }

    /// Runs a block for some tokens of a chunk of its walk, as generation does.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    ///
    /// # Panics
    /// If the tokens are not all of one chunk.
    pub fn run_chunk(&mut self, block: usize, chunk: Chunk) -> Result<()> {
        let len = self.program.blocks[block].walk.chunk_len(self.program.tokens());
        assert!(chunk.start % len + chunk.count <= len, "tokens {}..{} in chunks of {len}", chunk.start, chunk.end());
        let chunk = Chunk { index: 0, ..chunk };
        let slot = self.chunk_offset(block, chunk);
        let table = self.memory().place(self.program.bindings.chunks);
        self.gpu.queue.write_buffer(
            &self.allocation.buffers[table.buffer],
            u64::from(slot),
            bytemuck::cast_slice(&[chunk.start, chunk.count]),
        );
        let turns: Vec<Turn> = (0..self.blocks[block].len()).map(|node| Turn { block, chunk, node }).collect();
        self.submit(&turns, None);
        self.gpu.check()
    }

    /// Some turns, and then a copy of some bytes of a tensor to the start of another.
    pub(super) fn submit(&self, todo: &[Turn], copy: Option<(TensorId, Range<u64>, TensorId)>) -> wgpu::SubmissionIndex {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.encode(&mut pass, todo);
        }
        if let Some((from, bytes, to)) = copy {
            let [from, to] = [from, to].map(|id| self.memory().place(id));
            let (source, target) = (&self.allocation.buffers[from.buffer], &self.allocation.buffers[to.buffer]);
            encoder.copy_buffer_to_buffer(source, from.offset + bytes.start, target, to.offset, bytes.end - bytes.start);
        }
        self.gpu.queue.submit([encoder.finish()])
    }

    pub(super) fn chunk_offset(&self, block: usize, chunk: Chunk) -> u32 {
        let len = self.program.blocks[block].walk.chunk_len(self.program.tokens());
        let (_, first) = self.chunk_slots.iter().find(|(l, _)| *l == len).expect("every walk has its slots");
        (first + chunk.index) * BINDING_ALIGNMENT as u32
    }
}

fn chunk_slots(program: &Program) -> Vec<(u32, u32)> {
    let mut first = 0;
    program
        .chunk_lengths()
        .into_iter()
        .map(|len| {
            let slot = (len, first);
            first += program.tokens().div_ceil(len);
            slot
        })
        .collect()
}
