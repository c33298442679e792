//! A plan on a device, ready to run.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bound_kernels::BoundKernels;
use super::device::Gpu;
use super::device_memory::DeviceMemory;
use super::lowering::Kernels;
use super::offload::Offload;
use super::profiler::{self, OpTime};
use super::throttle::{PendingMetrics, Throttle};
use super::transfer;
use super::tuning::Tuning;
use crate::error::{Error, Result};
use crate::model::{Parameter, WeightSource, Weights};
use crate::step::ops::HostCopy;
use crate::step::{Batch, Chunk, Op, OpInstance, ParameterSlice, Pass, Plan, Program, TensorId};

/// A plan with its kernels and buffers.
pub struct Executor {
    bound: BoundKernels,
    offload: Offload,
    throttle: Throttle,
    done: Arc<AtomicU64>,
}

impl Executor {
    /// Allocates what the kernels' plan says, and writes the program's constants.
    ///
    /// # Errors
    /// If the device or the host has no room, or the device is lost.
    pub async fn new(kernels: Kernels) -> Result<Self> {
        let memory = DeviceMemory::new(&kernels.gpu, &kernels.plan).await?;
        let bound = BoundKernels::new(kernels, memory);
        for (id, bytes) in bound.program().constants() {
            bound.write(id, 0, &bytes);
        }
        bound.gpu.check()?;
        let offload = Offload::new(bound.program());
        Ok(Executor { bound, offload, throttle: Throttle::new(), done: Arc::default() })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.bound.plan
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.bound.program()
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.bound.gpu
    }

    /// Bytes of the buffers that were created, as the device's own objects tell.
    pub fn created_bytes(&self) -> u64 {
        self.bound.memory.created_bytes()
    }

    /// Writes a tensor, in the layout of the device.
    ///
    /// # Panics
    /// If there are more bytes than the tensor has.
    pub fn write(&self, id: TensorId, bytes: &[u8]) {
        self.bound.write(id, 0, bytes);
    }

    /// Reads a tensor, in the layout of the device. The buffer by which it comes is no part of the plan, and gone at once.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read(&self, id: TensorId) -> Result<Vec<u8>> {
        self.read_range(id, 0, self.program().tensor(id).bytes()).await
    }

    /// Reads a part of a tensor, from a byte on.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_range(&self, id: TensorId, from: u64, bytes: u64) -> Result<Vec<u8>> {
        transfer::read_range(&self.bound, id, from, bytes).await
    }

    /// Writes all parameters' values, a few rows at a time: a model never lies whole on the host.
    ///
    /// # Errors
    /// What reading the values may end in, and if the device was lost.
    pub async fn load(&self, values: &impl WeightSource) -> Result<()> {
        transfer::load(&self.bound, values, self.program().parameters.iter()).await
    }

    /// Writes the values of the trainable parameters.
    ///
    /// # Errors
    /// As [`Executor::load`].
    pub async fn load_trainable(&self, values: &impl WeightSource) -> Result<()> {
        transfer::load(&self.bound, values, self.program().parameters.trainable()).await
    }

    /// Writes one tensor of each slice of a parameter, as a moment.
    ///
    /// # Errors
    /// As [`Executor::load`].
    pub async fn load_slices(
        &self,
        parameter: &Parameter,
        slices: &[ParameterSlice],
        tensor: impl Fn(&ParameterSlice) -> Option<TensorId>,
        values: &impl WeightSource,
    ) -> Result<()> {
        transfer::load_slices(&self.bound, parameter, slices, tensor, values, &mut 0).await
    }

    /// Reads the values of all trainable parameters.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn weights(&self) -> Result<Weights> {
        let values = self.read_trainable(|slice| Some(slice.value)).await?;
        Ok(Weights::of(self.program().parameters.trainable().map(|(_, parameter)| parameter), values))
    }

    /// The gradients of all trainable parameters, in the layout of a file.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn gradients(&self) -> Result<Vec<Vec<f32>>> {
        self.read_trainable(|slice| slice.gradient).await
    }

    /// Reads one tensor of each slice of every trainable parameter (its values, its gradient, a moment), without the padding.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_trainable(&self, tensor: impl Fn(&ParameterSlice) -> Option<TensorId>) -> Result<Vec<Vec<f32>>> {
        transfer::read_trainable(&self.bound, tensor).await
    }

    /// Loss, gradient norm and what belongs to them, as [`crate::step::update::metrics`] orders them. Waits for the device.
    ///
    /// # Errors
    /// If the device was lost or reported an error.
    pub async fn metrics(&mut self) -> Result<[f32; 4]> {
        let pending = self.request_metrics();
        self.await_metrics(pending).await
    }

    /// Requests the metrics as they are behind what was handed to the device so far. It does not wait for it.
    pub fn request_metrics(&mut self) -> PendingMetrics {
        let read_back = self.bound.memory.buffer(&self.bound.plan, self.program().bindings.read_back);
        let submission = transfer::copy_to(&self.bound, self.program().bindings.metrics, 0, read_back);
        let pending = self.gpu().when_mapped(read_back, read_back.size(), submission);
        self.throttle.pending_metrics(pending)
    }

    /// Waits for metrics that were requested. What was handed to the device later goes on meanwhile.
    ///
    /// # Errors
    /// As [`Executor::metrics`].
    pub async fn await_metrics(&mut self, pending: PendingMetrics) -> Result<[f32; 4]> {
        let (pending, learn) = pending.parts();
        self.gpu().wait_for(pending).await?;
        let read_back = self.bound.memory.buffer(&self.bound.plan, self.program().bindings.read_back);
        let metrics = {
            let bytes = read_back.get_mapped_range(..).map_err(|e| Error::Device(e.to_string()))?;
            bytemuck::pod_read_unaligned(&bytes)
        };
        read_back.unmap();
        learn(&mut self.throttle);
        Ok(metrics)
    }

    /// Writes a batch.
    pub fn load_batch(&self, batch: &Batch) {
        for (id, bytes) in self.program().inputs(batch) {
            self.write(id, &bytes);
        }
    }

    /// Hands some passes of the step to the device, a little at a time. It does not wait for it.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn run(&mut self, passes: RangeInclusive<Pass>) -> Result<()> {
        self.run_instances(self.program().span(passes)).await
    }

    /// Hands some operations of the step, each for one chunk, to the device, a little at a time. It does not wait for it.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn run_instances(&mut self, numbers: Range<u64>) -> Result<()> {
        let plan = self.bound.plan.clone();
        let program = plan.program();
        let mut todo = Vec::new();
        let mut flops = 0;
        let mut all = 0;
        let mut instances = (numbers.start + 1..).zip(program.instances(numbers.clone())).peekable();
        while let Some((number, instance)) = instances.next() {
            let op = program.op(instance.block, instance.node);
            if let Op::HostCopy(HostCopy { x, out }) = *op {
                self.offload.copy(&mut self.bound, &std::mem::take(&mut todo), [x, out], instance.chunk).await?;
                self.note_when_done(number);
                flops = 0;
                continue;
            }
            todo.push(instance);
            let cost = program.flops(op, instance.chunk);
            flops += cost;
            all += cost;
            let may_end = instances.peek().is_none_or(|(_, next)| self.bound.may_start_with(next));
            if flops >= self.throttle.flops_per_submission && may_end {
                self.bound.submit(&todo, None);
                self.note_when_done(number);
                todo.clear();
                flops = 0;
            }
        }
        self.bound.submit(&todo, None);
        self.note_when_done(numbers.end);
        self.offload.take_all(&mut self.bound).await?;
        self.throttle.note(all);
        self.gpu().check()
    }

    /// Instances of the step that the device is known to have done. It lags behind by a submission.
    pub fn instances_done(&self) -> Arc<AtomicU64> {
        self.done.clone()
    }

    fn note_when_done(&self, number: u64) {
        let done = self.done.clone();
        self.gpu().queue.on_submitted_work_done(move || done.store(number, Ordering::Relaxed));
    }

    /// Runs a block for some tokens of one of its chunks, as generation does.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    ///
    /// # Panics
    /// If the tokens are not all of one chunk.
    pub fn run_chunk(&mut self, block: usize, chunk: Chunk) -> Result<()> {
        let len = self.program().blocks[block].chunk_order.chunk_len(self.program().tokens());
        assert!(chunk.start % len + chunk.count <= len, "tokens {}..{} in chunks of {len}", chunk.start, chunk.end());
        let chunk = Chunk { index: 0, ..chunk };
        let slot = self.bound.chunk_offset(block, chunk);
        self.bound.write(self.program().bindings.chunks, u64::from(slot), bytemuck::cast_slice(&[chunk.start, chunk.count]));
        let node = |node| OpInstance { block, chunk, node };
        let instances: Vec<OpInstance> = (0..self.bound.node_count(block)).map(node).collect();
        self.bound.submit(&instances, None);
        self.gpu().check()
    }

    /// Times each of the operations, in their order; copies to the host and back are left out, so what comes of it is of no use. It takes
    /// longer than [`Executor::run_instances`], since nothing overlaps. Fused ones are timed together.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn profile(&self, numbers: Range<u64>) -> Result<Vec<OpTime>> {
        profiler::profile(&self.bound, numbers).await
    }

    /// What an operation takes with the kernel of some tuning, at least. It writes what the operation writes.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn seconds_with(&self, instance: OpInstance, tuning: &Tuning) -> Result<f64> {
        profiler::seconds_with(&self.bound, instance, tuning).await
    }
}
