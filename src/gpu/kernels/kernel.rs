//! The interface of a kernel, and helpers for sizes.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::ops::Operation;
use crate::step::{Program, RowSlice, TensorId};

/// The device side of an operation: how its shader is dispatched.
pub(super) trait Kernel: Operation {
    /// Its dispatch for a tuning, in a block with chunks of `chunk_len` tokens. `None` for host copies.
    fn dispatch(&self, program: &Program, tuning: &Tuning, chunk_len: u32) -> Option<Dispatch>;
}

/// The number of groups of four rows of a slice.
pub(super) fn slice_vec4s(slice: RowSlice) -> u32 {
    assert!(slice.row.is_multiple_of(4) && slice.col.is_multiple_of(4) && slice.rows.is_multiple_of(4), "{slice:?}");
    slice.rows / 4
}

/// The number of groups of four columns of a tensor.
pub(super) fn vec4s(program: &Program, id: TensorId) -> u32 {
    let tensor = program.tensor(id);
    assert!(tensor.cols.is_multiple_of(4), "{} has {} columns", tensor.name, tensor.cols);
    tensor.cols / 4
}

/// The number of groups of four elements of a tensor.
pub(super) fn all_vec4s(program: &Program, id: TensorId) -> u64 {
    let len = program.tensor(id).elements();
    assert!(len.is_multiple_of(4) && u32::try_from(len / 4).is_ok(), "{} has {len} elements", program.tensor(id).name);
    len / 4
}
