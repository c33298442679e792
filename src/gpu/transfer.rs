//! Transfers between host and device: values, gradients and moments of parameters.

use super::bound_kernels::BoundKernels;
use super::buffers::OwnedBuffer;
use crate::error::Result;
use crate::model::{Parameter, ParameterId, WeightSource};
use crate::step::{ParameterSlice, TensorId};

/// The most bytes in flight at once. They take as much memory in addition to the plan.
const IN_FLIGHT_BYTES: u64 = 64 << 20;
/// The most bytes of rows that are converted for the device at once.
const ROW_BYTES: u64 = 8 << 20;

/// Writes values of parameters, a few rows at a time, so the host never holds the whole model.
///
/// # Errors
/// Errors of the weight source, and if the device was lost.
pub(super) async fn load<'a>(
    bound: &BoundKernels,
    values: &impl WeightSource,
    parameters: impl Iterator<Item = (ParameterId, &'a Parameter)>,
) -> Result<()> {
    let mut waiting = 0;
    for (id, parameter) in parameters {
        load_slices(bound, parameter, bound.program().slices(id), |slice| Some(slice.value), values, &mut waiting).await?;
    }
    bound.gpu.check()
}

/// Writes one tensor of each slice of a parameter. `waiting` counts the bytes that the device may not have received yet.
///
/// # Errors
/// As [`load`].
pub(super) async fn load_slices(
    bound: &BoundKernels,
    parameter: &Parameter,
    slices: &[ParameterSlice],
    tensor: impl Fn(&ParameterSlice) -> Option<TensorId>,
    values: &impl WeightSource,
    waiting: &mut u64,
) -> Result<()> {
    let row_bytes = parameter.dtype.row_bytes(parameter.padded_cols());
    // Writes must start at a multiple of four bytes; four rows of any dtype do.
    let step = u32::try_from(ROW_BYTES / row_bytes).unwrap_or(u32::MAX).max(4) / 4 * 4;
    for (slice, id) in slices.iter().filter_map(|slice| Some((slice, tensor(slice)?))) {
        for first in (0..slice.rows).step_by(step as usize) {
            let rows = slice.first_row + first..slice.first_row + slice.rows.min(first + step);
            let read = values.rows(parameter, parameter.file_rows_of(rows.clone())).await?;
            parameter.dtype.check(&parameter.name, &read)?;
            let bytes = parameter.stored(&read, rows);
            bound.write(id, u64::from(first) * row_bytes, &bytes);
            *waiting += bytes.len() as u64;
            if *waiting > IN_FLIGHT_BYTES {
                bound.gpu.queue.submit([]);
                bound.gpu.wait().await?;
                *waiting = 0;
            }
        }
    }
    Ok(())
}

/// Reads one tensor of each slice of every trainable parameter (values, gradient or a moment), without padding.
///
/// # Errors
/// If the device was lost.
pub(super) async fn read_trainable(bound: &BoundKernels, tensor: impl Fn(&ParameterSlice) -> Option<TensorId>) -> Result<Vec<Vec<f32>>> {
    let program = bound.program();
    let ids = |id: ParameterId| program.slices(id).iter().filter_map(&tensor);
    let all: Vec<TensorId> = program.parameters.trainable().flat_map(|(id, _)| ids(id)).collect();
    let mut tensors = read_all(bound, &all).await?.into_iter();
    let read = |(id, parameter): (ParameterId, &Parameter)| {
        let bytes: Vec<u8> = tensors.by_ref().take(ids(id).count()).flatten().collect();
        parameter.unpad(&bytemuck::pod_collect_to_vec::<u8, f32>(&bytes))
    };
    Ok(program.parameters.trainable().map(read).collect())
}

/// Reads one tensor of each slice of a parameter: their bytes, in the device's layout.
///
/// # Errors
/// If the device was lost.
pub(super) async fn read_slices(
    bound: &BoundKernels,
    parameter: ParameterId,
    tensor: impl Fn(&ParameterSlice) -> Option<TensorId>,
) -> Result<Vec<u8>> {
    let ids: Vec<TensorId> = bound.program().slices(parameter).iter().filter_map(tensor).collect();
    Ok(read_all(bound, &ids).await?.concat())
}

/// Reads `bytes` bytes of a tensor from the byte offset `from` on. The staging buffer is not part of the plan and is freed immediately.
///
/// # Errors
/// If the device was lost.
pub(super) async fn read_range(bound: &BoundKernels, id: TensorId, from: u64, bytes: u64) -> Result<Vec<u8>> {
    if let Some(waiting) = bound.memory.host.get(id) {
        return Ok(waiting[from as usize..(from + bytes) as usize].to_vec());
    }
    let staging = OwnedBuffer::new(&bound.gpu, "read-back", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    copy_to(bound, id, from, &staging);
    bound.gpu.map(&staging).await
}

/// Submits a copy of a tensor's bytes, from the byte offset `from` on, that fills `target`.
pub(super) fn copy_to(bound: &BoundKernels, id: TensorId, from: u64, target: &wgpu::Buffer) -> wgpu::SubmissionIndex {
    let mut encoder = bound.gpu.device.create_command_encoder(&Default::default());
    bound.memory.copy(&bound.plan, &mut encoder, id, from..from + target.size(), target);
    bound.gpu.queue.submit([encoder.finish()])
}

/// Reads many tensors with few mappings: some browsers take a tenth of a second per mapping, however small it is.
async fn read_all(bound: &BoundKernels, ids: &[TensorId]) -> Result<Vec<Vec<u8>>> {
    let mut read = Vec::new();
    let mut rest = ids;
    while !rest.is_empty() {
        let ends: Vec<u64> = rest
            .iter()
            .scan(0, |end, &id| {
                *end += bound.program().tensor(id).bytes();
                Some(*end)
            })
            .collect();
        let count = ends.iter().take_while(|&&end| end <= IN_FLIGHT_BYTES).count().max(1);
        let (now, later) = rest.split_at(count);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = OwnedBuffer::new(&bound.gpu, "read-back", ends[count - 1], usage);
        let mut encoder = bound.gpu.device.create_command_encoder(&Default::default());
        for (&id, end) in now.iter().zip(&ends) {
            let (offset, bytes) = (bound.plan.allocation(id).offset, bound.program().tensor(id).bytes());
            encoder.copy_buffer_to_buffer(bound.memory.buffer(&bound.plan, id), offset, &staging, end - bytes, bytes);
        }
        bound.gpu.queue.submit([encoder.finish()]);
        let bytes = bound.gpu.map(&staging).await?;
        let starts = [0].into_iter().chain(ends.iter().copied());
        read.extend(starts.zip(&ends[..count]).map(|(start, &end)| bytes[start as usize..end as usize].to_vec()));
        rest = later;
    }
    Ok(read)
}
