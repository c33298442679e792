//! Host memory for offloaded tensors.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::step::{Plan, Storage, TensorId};

/// The contents of the tensors of a plan that are in host memory.
pub(super) struct HostMemory(HashMap<TensorId, Vec<u8>>);

impl HostMemory {
    /// Allocates all of them.
    ///
    /// # Errors
    /// [`Error::OutOfHostMemory`] if the allocation fails.
    pub fn new(plan: &Plan) -> Result<Self> {
        let mut tensors = HashMap::new();
        for (id, tensor) in plan.program().tensors().filter(|(_, tensor)| tensor.storage == Storage::Host) {
            let bytes = usize::try_from(tensor.bytes()).unwrap_or(usize::MAX);
            let mut room = Vec::new();
            room.try_reserve_exact(bytes).map_err(|_| Error::OutOfHostMemory { needed: plan.host_bytes() })?;
            room.resize(bytes, 0);
            tensors.insert(id, room);
        }
        Ok(HostMemory(tensors))
    }

    /// The bytes of a tensor, if it is in host memory.
    pub fn get(&self, id: TensorId) -> Option<&[u8]> {
        self.0.get(&id).map(Vec::as_slice)
    }

    /// Writes a range of bytes of a tensor.
    ///
    /// # Panics
    /// If the tensor is not in host memory.
    pub fn write(&mut self, id: TensorId, range: Range<usize>, bytes: &[u8]) {
        self.0.get_mut(&id).expect("the tensor is in host memory")[range].copy_from_slice(bytes);
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|bytes| bytes.len() as u64).sum()
    }
}
