//! Messages between ranks: rows of tensors that leave this device for another, and those that come from there.

use super::bound_kernels::BoundKernels;
use super::transfer;
use crate::error::{Error, Result};
use crate::model::ParameterId;
use crate::step::{BatchOfStep, MOMENT_REQUESTS, MOMENTS, Message, ParameterSlice, Split, TensorId};

/// How messages get from rank to rank. Messages with the same sender, receiver and tag arrive in the order in which they were sent.
pub trait Transport {
    /// Sends bytes to a rank. It does not wait until they arrive.
    ///
    /// # Errors
    /// If the rank cannot be reached.
    fn send(&mut self, to: u32, tag: u32, bytes: Vec<u8>) -> Result<()>;

    /// Waits for that many bytes from a rank, without keeping a core busy.
    ///
    /// # Errors
    /// If the rank cannot be reached, or sends another number of bytes.
    fn receive(&mut self, from: u32, tag: u32, bytes: usize) -> Result<Vec<u8>>;

    /// Helps messages on their way, which may need it while the device computes.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    fn progress(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What rank 0 asks for when it saves a run.
#[derive(Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct MomentRequest {
    /// The first moment or the second.
    pub which: u32,
    /// The number of the parameter.
    pub parameter: u32,
}

impl MomentRequest {
    /// Asks for nothing more.
    const END: MomentRequest = MomentRequest { which: u32::MAX, parameter: u32::MAX };

    fn to_bytes(self) -> Vec<u8> {
        bytemuck::bytes_of(&self).to_vec()
    }

    /// What it asks for of a slice.
    pub fn tensor(self, slice: &ParameterSlice) -> Option<TensorId> {
        slice.moments.map(|moments| moments[self.which as usize])
    }
}

/// The way to other ranks, and which batch of a step is at hand.
pub(super) struct Exchange {
    transport: Option<Box<dyn Transport>>,
    pub batch: BatchOfStep,
}

impl Exchange {
    /// No way to anywhere. A step has one batch.
    pub fn new() -> Self {
        Exchange { transport: None, batch: BatchOfStep::ALONE }
    }

    /// Sets the way to other ranks.
    pub fn connect(&mut self, transport: Box<dyn Transport>) {
        self.transport = Some(transport);
    }

    /// Is there a message for the batch at hand?
    pub fn is_due(&self, message: &Message) -> bool {
        message.batches.include(self.batch)
    }

    /// Helps messages on their way.
    ///
    /// # Errors
    /// As [`Transport::progress`].
    pub fn progress(&mut self) -> Result<()> {
        self.transport.as_mut().map_or(Ok(()), |transport| transport.progress())
    }

    /// Sends rows of a tensor, as they are after all submitted work.
    ///
    /// # Errors
    /// As [`Transport::send`], and if the device was lost.
    pub async fn send(&mut self, bound: &BoundKernels, id: TensorId, message: &Message) -> Result<()> {
        let bytes = read(bound, id, message).await?;
        self.transport().send(message.rank, message.tag, bytes)
    }

    /// Waits for rows of a tensor, and writes them.
    ///
    /// # Errors
    /// As [`Transport::receive`].
    pub fn receive(&mut self, bound: &BoundKernels, id: TensorId, message: &Message) -> Result<()> {
        let row_bytes = bound.program().tensor(id).row_bytes();
        let bytes = self.transport().receive(message.rank, message.tag, (row_bytes * u64::from(message.rows)) as usize)?;
        bound.write(id, row_bytes * u64::from(message.first_row), &bytes);
        Ok(())
    }

    /// Asks a rank for a moment of a parameter that it updates: as many bytes, of all slices.
    ///
    /// # Errors
    /// As [`Transport::send`] and [`Transport::receive`].
    pub fn ask_moment(&mut self, owner: u32, request: MomentRequest, bytes: u64) -> Result<Vec<u8>> {
        let transport = self.transport();
        transport.send(owner, MOMENT_REQUESTS, request.to_bytes())?;
        transport.receive(owner, MOMENTS, bytes as usize)
    }

    /// Tells the other ranks that no more moments are asked for.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub fn end_requests(&mut self, split: &Split) -> Result<()> {
        (1..split.ranks()).try_for_each(|rank| self.transport().send(rank, MOMENT_REQUESTS, MomentRequest::END.to_bytes()))
    }

    /// Hands moments to rank 0, one at a time, until it asks for no more.
    ///
    /// # Errors
    /// As [`Transport::send`] and [`Transport::receive`], and if the device was lost.
    pub async fn hand_over_moments(&mut self, bound: &BoundKernels) -> Result<()> {
        loop {
            let request = self.transport().receive(0, MOMENT_REQUESTS, size_of::<MomentRequest>())?;
            let request: MomentRequest = bytemuck::pod_read_unaligned(&request);
            if request == MomentRequest::END {
                return Ok(());
            }
            let moments = transfer::read_slices(bound, ParameterId(request.parameter as usize), |slice| request.tensor(slice)).await?;
            self.transport().send(0, MOMENTS, moments)?;
        }
    }

    fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_deref_mut().expect("a program of several ranks runs with a way to the others")
    }
}

/// Reads the rows of a message through the staging buffer that is planned for it.
async fn read(bound: &BoundKernels, id: TensorId, message: &Message) -> Result<Vec<u8>> {
    let tensor = bound.program().tensor(id);
    let [first, end] = [message.first_row, message.first_row + message.rows].map(|row| u64::from(row) * tensor.row_bytes());
    let staging = bound.program().bindings.exchange.expect("a program of several ranks has a staging buffer");
    let buffer = (**bound.memory.buffer(&bound.plan, staging)).clone();
    let room = bound.program().tensor(staging).bytes();
    let mut read = Vec::with_capacity((end - first) as usize);
    for from in (first..end).step_by(room as usize) {
        let range = from..end.min(from + room);
        let bytes = range.end - range.start;
        let mut encoder = bound.gpu.device.create_command_encoder(&Default::default());
        bound.memory.copy(&bound.plan, &mut encoder, id, range, &buffer);
        let submission = bound.gpu.queue.submit([encoder.finish()]);
        bound.gpu.wait_for(bound.gpu.when_mapped(&buffer, bytes, submission)).await?;
        read.extend_from_slice(&buffer.get_mapped_range(..bytes).map_err(|e| Error::Device(e.to_string()))?);
        buffer.unmap();
    }
    Ok(read)
}
