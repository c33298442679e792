//! The executor: runs a plan on a device.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bound_kernels::BoundKernels;
use super::cutting::DispatchLimit;
use super::device::Gpu;
use super::device_memory::DeviceMemory;
use super::exchange::{Exchange, MomentRequest, Transport};
use super::lowering::Kernels;
use super::offload::{Before, Offload};
use super::part::Part;
use super::profiler::{self, OpTime};
use super::throttle::{PendingMetrics, Throttle};
use super::transfer;
use super::tuning::Tuning;
use crate::error::{Error, Result};
use crate::model::{Parameter, ParameterId, WeightSource, Weights};
use crate::step::ops::{HostCopy, Receive, Send};
use crate::step::{Batch, BatchOfStep, Chunk, LabelledTiles, Op, OpInstance, ParameterSlice, Pass, Plan, Program, TensorId};

/// A plan with its memory and kernels on a device.
pub struct Executor {
    bound: BoundKernels,
    offload: Offload,
    exchange: Exchange,
    throttle: Throttle,
    done: Arc<AtomicU64>,
}

impl Executor {
    /// Allocates the memory of the kernels' plan, binds the kernels, and writes the program's constants.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or [`Error::OutOfHostMemory`], or if the device was lost.
    pub async fn new(kernels: Kernels) -> Result<Self> {
        let memory = DeviceMemory::new(&kernels.gpu, &kernels.plan).await?;
        let bound = BoundKernels::new(kernels, memory);
        for (id, bytes) in bound.program().constants() {
            bound.write(id, 0, &bytes);
        }
        bound.gpu.check()?;
        let offload = Offload::new(bound.program());
        Ok(Executor { bound, offload, exchange: Exchange::new(), throttle: Throttle::new(), done: Arc::default() })
    }

    /// Gives it the way to the other ranks, which a program of several needs.
    pub fn connect(&mut self, transport: Box<dyn Transport>) {
        self.exchange.connect(transport);
    }

    /// Reads a moment of a trainable parameter, wherever it is, without padding. Of several ranks, only the first can: the others meanwhile
    /// [hand over](Executor::hand_over_moments) theirs.
    ///
    /// # Errors
    /// If the device was lost, or a rank cannot be reached.
    pub async fn read_moment(&mut self, which: usize, id: ParameterId) -> Result<Vec<f32>> {
        let program = self.bound.program();
        let (request, parameter) = (MomentRequest { which: which as u32, parameter: id.0 as u32 }, program.parameters.get(id));
        let bytes = match program.batch.split().map(|split| split.owner(parameter.layer)).filter(|&owner| owner > 0) {
            None => transfer::read_slices(&self.bound, id, |slice| request.tensor(slice)).await?,
            Some(owner) => {
                // A moment has the form of the gradient, which all ranks have.
                let gradients = program.slices(id).iter().filter_map(|slice| slice.gradient);
                self.exchange.ask_moment(owner, request, gradients.map(|gradient| program.tensor(gradient).bytes()).sum())?
            }
        };
        Ok(parameter.unpad(&bytemuck::pod_collect_to_vec::<u8, f32>(&bytes)))
    }

    /// Hands moments to the first rank, on all others, until that has [all it wants](Executor::end_hand_over).
    ///
    /// # Errors
    /// If the device was lost, or the first rank cannot be reached.
    pub async fn hand_over_moments(&mut self) -> Result<()> {
        self.exchange.hand_over_moments(&self.bound).await
    }

    /// Lets the other ranks, if there are any, go on after [`Executor::hand_over_moments`].
    ///
    /// # Errors
    /// If a rank cannot be reached.
    pub fn end_hand_over(&mut self) -> Result<()> {
        self.bound.program().batch.split().map_or(Ok(()), |split| self.exchange.end_requests(split))
    }

    /// Says which batch of a step the next operations are for: sums over batches go on where the last one has ended.
    pub fn set_batch_of_step(&mut self, batch: BatchOfStep) {
        self.exchange.batch = batch;
    }

    /// Fixes the most work of a dispatch, whatever the device's speed: the results must be the same bits.
    #[doc(hidden)]
    pub fn limit_dispatches(&mut self, limit: DispatchLimit) {
        self.throttle.fix(limit);
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

    /// Bytes of the created buffers, as reported by the buffers themselves.
    pub fn created_bytes(&self) -> u64 {
        self.bound.memory.created_bytes()
    }

    /// Writes a tensor from its start, in the device's layout (padded rows, stored dtype).
    ///
    /// # Panics
    /// If the bytes exceed the tensor.
    pub fn write(&self, id: TensorId, bytes: &[u8]) {
        self.bound.write(id, 0, bytes);
    }

    /// Reads a tensor, in the device's layout. The staging buffer is not part of the plan and is freed immediately.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read(&self, id: TensorId) -> Result<Vec<u8>> {
        self.read_range(id, 0, self.program().tensor(id).bytes()).await
    }

    /// Reads `bytes` bytes of a tensor from the byte offset `from` on.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_range(&self, id: TensorId, from: u64, bytes: u64) -> Result<Vec<u8>> {
        transfer::read_range(&self.bound, id, from, bytes).await
    }

    /// Writes the values of all parameters, a few rows at a time, so the host never holds the whole model.
    ///
    /// # Errors
    /// Errors of the weight source, and if the device was lost.
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

    /// Writes one tensor of each slice of a parameter, for example a moment.
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

    /// Reads the values of all trainable parameters, without padding.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn weights(&self) -> Result<Weights> {
        let values = self.read_trainable(|slice| Some(slice.value)).await?;
        Ok(Weights::of(self.program().parameters.trainable().map(|(_, parameter)| parameter), values))
    }

    /// Reads the value of a parameter, without padding.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_value(&self, id: ParameterId) -> Result<Vec<f32>> {
        let bytes = transfer::read_slices(&self.bound, id, |slice| Some(slice.value)).await?;
        Ok(self.program().parameters.get(id).unpad(&bytemuck::pod_collect_to_vec::<u8, f32>(&bytes)))
    }

    /// Reads the gradients of all trainable parameters, without padding.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn gradients(&self) -> Result<Vec<Vec<f32>>> {
        self.read_trainable(|slice| slice.gradient).await
    }

    /// Reads one tensor of each slice of every trainable parameter (values, gradient or a moment), without padding.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_trainable(&self, tensor: impl Fn(&ParameterSlice) -> Option<TensorId>) -> Result<Vec<Vec<f32>>> {
        transfer::read_trainable(&self.bound, tensor).await
    }

    /// The metrics, in the order of [`crate::step::update::metrics`]: loss, gradient norm, scale, not finite. Waits for the device.
    ///
    /// # Errors
    /// If the device was lost or reported an error.
    pub async fn metrics(&mut self) -> Result<[f32; 4]> {
        let pending = self.request_metrics();
        self.await_metrics(pending).await
    }

    /// Requests the metrics as of all work submitted so far, without waiting.
    pub fn request_metrics(&mut self) -> PendingMetrics {
        let read_back = self.bound.memory.buffer(&self.bound.plan, self.program().bindings.read_back);
        let submission = transfer::copy_to(&self.bound, self.program().bindings.metrics, 0, read_back);
        let pending = self.gpu().when_mapped(read_back, read_back.size(), submission);
        self.throttle.pending_metrics(pending)
    }

    /// Waits for requested metrics. Later submissions continue meanwhile.
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

    /// Writes the tensors of a batch. Until the next one is loaded, what nobody needs of token tiles without labels is not computed.
    ///
    /// # Panics
    /// As [`Program::inputs`] does.
    pub fn load_batch(&mut self, batch: &Batch) {
        self.load_inputs(batch, LabelledTiles::of(batch));
    }

    /// The same, but everything is computed of all tokens, for those who look at the numbers. The results are the same bits.
    ///
    /// # Panics
    /// As [`Program::inputs`] does.
    pub fn load_batch_in_full(&mut self, batch: &Batch) {
        self.load_inputs(batch, LabelledTiles::all(self.program().tokens()));
    }

    /// Writes what the first layers read of the step's next batch, if they begin with it while this rank waits for others.
    ///
    /// # Panics
    /// As [`Program::next_inputs`] does.
    pub fn load_next_batch(&self, batch: &Batch) {
        self.program().next_inputs(batch).iter().for_each(|(id, bytes)| self.write(*id, bytes));
    }

    fn load_inputs(&mut self, batch: &Batch, tiles: LabelledTiles) {
        self.bound.set_tiles(tiles);
        for (id, bytes) in self.program().inputs(batch) {
            self.write(id, &bytes);
        }
    }

    /// Submits consecutive passes of the step, in small submissions, without waiting for the device.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn run(&mut self, passes: RangeInclusive<Pass>) -> Result<()> {
        self.run_instances(self.program().span(passes)).await
    }

    /// Submits a range of operation instances, in small submissions, without waiting for the device.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn run_instances(&mut self, numbers: Range<u64>) -> Result<()> {
        let plan = self.bound.plan.clone();
        let program = plan.program();
        let mut todo = Vec::new();
        let mut work = 0;
        let mut all = 0;
        let limit = self.throttle.dispatch_limit();
        let mut instances = (numbers.start + 1..).zip(program.instances(numbers.clone())).peekable();
        while let Some((number, instance)) = instances.next() {
            if !program.blocks[instance.block].batches.include(self.exchange.batch) {
                continue;
            }
            let op = program.op(instance.block, instance.node);
            if !op.has_kernel() {
                self.run_apart(*op, Before { instances: &todo, limit }, instance.chunk).await?;
                self.note_when_done(number);
                todo.clear();
                work = 0;
                continue;
            }
            todo.push(instance);
            let cost = self.bound.cost(&instance).work();
            work += cost;
            all += cost;
            let may_end = instances.peek().is_none_or(|(_, next)| self.bound.may_start_with(next));
            if work >= self.throttle.work_per_submission() && may_end {
                self.bound.submit(&todo, limit, None);
                self.exchange.progress()?;
                self.note_when_done(number);
                todo.clear();
                work = 0;
            }
        }
        self.bound.submit(&todo, limit, None);
        self.note_when_done(numbers.end);
        self.offload.take_all(&mut self.bound).await?;
        self.throttle.note(all);
        self.gpu().check()
    }

    /// Runs an operation that has no kernel, after the operations before it.
    async fn run_apart(&mut self, op: Op, before: Before<'_>, chunk: Chunk) -> Result<()> {
        if let Op::HostCopy(HostCopy { x, out }) = op {
            return self.offload.copy(&mut self.bound, before, [x, out], chunk).await;
        }
        self.bound.submit(before.instances, before.limit, None);
        match op {
            Op::Send(Send { x, message }) if self.exchange.is_due(&message) => self.exchange.send(&self.bound, x, &message).await,
            Op::Receive(Receive { out, message }) if self.exchange.is_due(&message) => self.exchange.receive(&self.bound, out, &message),
            _ => Ok(()),
        }
    }

    /// The number of operation instances that the device is known to have completed. It lags behind by a submission.
    pub fn instances_done(&self) -> Arc<AtomicU64> {
        self.done.clone()
    }

    fn note_when_done(&self, number: u64) {
        let done = self.done.clone();
        self.gpu().queue.on_submitted_work_done(move || done.store(number, Ordering::Relaxed));
    }

    /// Runs a block for some tokens of one chunk, as a roll-out does.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    ///
    /// # Panics
    /// If the tokens are not all in one chunk of the block.
    pub fn run_chunk(&mut self, block: usize, chunk: Chunk) -> Result<()> {
        let order = self.program().blocks[block].chunk_order;
        assert!(order.has(chunk, self.program().share()), "tokens {}..{} of {order:?}", chunk.start, chunk.end());
        let chunk = Chunk { index: 0, ..chunk };
        let node = |node| OpInstance { block, chunk, node };
        let instances: Vec<OpInstance> = (0..self.bound.node_count(block)).map(node).collect();
        self.bound.write_part(node(0), &Part::whole(chunk));
        self.bound.submit(&instances, self.throttle.dispatch_limit(), None);
        self.gpu().check()
    }

    /// Times a range of operation instances, summed by operation. It skips host copies, so the results in the tensors are meaningless. It
    /// takes longer than [`Executor::run_instances`] because nothing overlaps. Fused operations are timed together.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn profile(&self, numbers: Range<u64>) -> Result<Vec<OpTime>> {
        profiler::profile(&self.bound, numbers, self.throttle.dispatch_limit()).await
    }

    /// The least measured time in seconds of an operation with the kernel of another tuning. It overwrites the operation's outputs.
    ///
    /// # Errors
    /// If the device was lost or has reported an error.
    pub async fn seconds_with(&self, instance: OpInstance, tuning: &Tuning) -> Result<f64> {
        profiler::seconds_with(&self.bound, instance, tuning).await
    }
}
