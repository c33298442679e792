//! What every operation says of its kernel, and how its sizes are counted.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::ops::Operation;
use crate::step::{Program, RowSlice, TensorId};

/// How neighbouring operations of one kind may share a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// Never.
    None,
    /// Side by side, each with workgroups of its own, where none touches what another writes.
    Parallel {
        /// Does each write a part of its own of a tensor that all of them write?
        writes_own_part: bool,
    },
    /// One after the other in the same threads, where each adds to what the one before it wrote.
    Sequential {
        /// The tensor that is written.
        into: TensorId,
        /// Is the result added to what the tensor holds?
        accumulates: bool,
    },
}

/// An operation on a device. No arithmetic stands here, only what its shader is bound to.
pub(super) trait Kernel: Operation {
    /// How it may share a dispatch with its neighbours.
    fn fusion(&self) -> Fusion {
        Fusion::None
    }

    /// Its dispatch on a device of that class; none if it is a copy.
    fn dispatch(&self, program: &Program, tuning: &Tuning) -> Option<Dispatch>;
}

/// Groups of four rows of a matrix that are at work.
pub(super) fn slice_vec4s(slice: RowSlice) -> u32 {
    assert!(slice.row.is_multiple_of(4) && slice.col.is_multiple_of(4) && slice.rows.is_multiple_of(4), "{slice:?}");
    slice.rows / 4
}

/// Groups of four columns of a tensor.
pub(super) fn vec4s(program: &Program, id: TensorId) -> u32 {
    let tensor = program.tensor(id);
    assert!(tensor.cols.is_multiple_of(4), "{} has {} columns", tensor.name, tensor.cols);
    tensor.cols / 4
}

/// Groups of four elements of a tensor.
pub(super) fn all_vec4s(program: &Program, id: TensorId) -> u64 {
    let len = program.tensor(id).elements();
    assert!(len.is_multiple_of(4) && u32::try_from(len / 4).is_ok(), "{} has {len} elements", program.tensor(id).name);
    len / 4
}
