//! The values of parameters, and what lies like them, to the device and back.

use super::buffers::OwnedBuffer;
use super::executor::Executor;
use crate::error::Result;
use crate::model::{Parameter, ParameterId, Values, Weights};
use crate::step::{Part, TensorId};

/// Bytes that are on their way at once, where many tensors are read or written: they take as much memory beside the plan.
const AT_ONCE: u64 = 64 << 20;
/// Bytes of rows that are made ready for the device at once.
const ROWS_AT_ONCE: u64 = 8 << 20;

impl Executor {
    /// Writes all parameters' values, a few rows at a time: a model never lies whole on the host.
    ///
    /// # Errors
    /// What reading the values may end in, and if the device was lost.
    pub async fn load(&self, values: &impl Values) -> Result<()> {
        self.load_some(values, self.program().parameters.iter()).await
    }

    /// Writes the values of the parameters that learn.
    ///
    /// # Errors
    /// As [`Executor::load`].
    pub async fn load_trained(&self, values: &impl Values) -> Result<()> {
        self.load_some(values, self.program().parameters.trained()).await
    }

    async fn load_some<'a>(&self, values: &impl Values, parameters: impl Iterator<Item = (ParameterId, &'a Parameter)>) -> Result<()> {
        let mut waiting = 0;
        for (id, parameter) in parameters {
            self.load_parts(parameter, self.program().weight(id), values, &mut waiting).await?;
        }
        self.gpu().check()
    }

    /// Writes what lies like a parameter (its values, a moment).
    ///
    /// # Errors
    /// As [`Executor::load`].
    pub async fn load_like(&self, parameter: &Parameter, parts: &[Part], values: &impl Values) -> Result<()> {
        self.load_parts(parameter, parts, values, &mut 0).await
    }

    /// `waiting` is how many bytes were written that the device may not have taken yet.
    async fn load_parts(&self, parameter: &Parameter, parts: &[Part], values: &impl Values, waiting: &mut u64) -> Result<()> {
        let row_bytes = parameter.precision.row_bytes(parameter.padded_cols());
        // Writes have to start at a multiple of four bytes; four rows of whatever precision do.
        let step = u32::try_from(ROWS_AT_ONCE / row_bytes).unwrap_or(u32::MAX).max(4) / 4 * 4;
        for part in parts {
            for first in (0..part.rows).step_by(step as usize) {
                let rows = part.first_row + first..part.first_row + part.rows.min(first + step);
                let read = values.rows(parameter, parameter.file_rows_of(rows.clone())).await?;
                parameter.precision.check(&parameter.name, &read)?;
                let bytes = parameter.stored(&read, rows);
                self.write_from(part.tensor, u64::from(first) * row_bytes, &bytes);
                *waiting += bytes.len() as u64;
                if *waiting > AT_ONCE {
                    self.gpu().queue.submit([]);
                    self.gpu().wait().await?;
                    *waiting = 0;
                }
            }
        }
        Ok(())
    }

    /// Reads the values of all parameters that learn.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn weights(&self) -> Result<Weights> {
        let values = self.read_like_parameters(|id| self.program().weight(id)).await?;
        Ok(Weights::of(self.program().parameters.trained().map(|(_, parameter)| parameter), values))
    }

    /// The gradients of all parameters that learn, in the layout of a file.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn gradients(&self) -> Result<Vec<Vec<f32>>> {
        self.read_like_parameters(|id| self.program().gradient(id)).await
    }

    /// Reads for every parameter that learns what lies like it (its values, its gradient, a moment), without the padding.
    ///
    /// # Errors
    /// If the device was lost.
    pub async fn read_like_parameters<'a>(&'a self, parts: impl Fn(ParameterId) -> &'a [Part]) -> Result<Vec<Vec<f32>>> {
        let trained: Vec<(ParameterId, &Parameter)> = self.program().parameters.trained().collect();
        let ids: Vec<TensorId> = trained.iter().flat_map(|&(id, _)| parts(id)).map(|part| part.tensor).collect();
        let mut tensors = self.read_all(&ids).await?.into_iter();
        let read = |&(id, parameter): &(ParameterId, &Parameter)| {
            let bytes: Vec<u8> = tensors.by_ref().take(parts(id).len()).flatten().collect();
            parameter.unpad(&bytemuck::pod_collect_to_vec::<u8, f32>(&bytes))
        };
        Ok(trained.iter().map(read).collect())
    }

    /// Reads many tensors at once: some browsers take a tenth of a second for every answer, however short it is.
    async fn read_all(&self, ids: &[TensorId]) -> Result<Vec<Vec<u8>>> {
        let mut read = Vec::new();
        let mut rest = ids;
        while !rest.is_empty() {
            let ends: Vec<u64> = rest
                .iter()
                .scan(0, |end, &id| {
                    *end += self.program().tensor(id).bytes();
                    Some(*end)
                })
                .collect();
            let count = ends.iter().take_while(|&&end| end <= AT_ONCE).count().max(1);
            let (now, later) = rest.split_at(count);
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let staging = OwnedBuffer::new(self.gpu(), "read-back", ends[count - 1], usage);
            let mut encoder = self.gpu().device.create_command_encoder(&Default::default());
            for (&id, end) in now.iter().zip(&ends) {
                let (place, bytes) = (self.memory().place(id), self.program().tensor(id).bytes());
                encoder.copy_buffer_to_buffer(&self.allocation.buffers[place.buffer], place.offset, &staging, end - bytes, bytes);
            }
            self.gpu().queue.submit([encoder.finish()]);
            let bytes = self.gpu().map(&staging).await?;
            let starts = [0].into_iter().chain(ends.iter().copied());
            read.extend(starts.zip(&ends[..count]).map(|(start, &end)| bytes[start as usize..end as usize].to_vec()));
            rest = later;
        }
        Ok(read)
    }
}
