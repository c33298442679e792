//! The kernels of all operations, one file each: bindings, constants and grid. No arithmetic.

mod kernel;

use super::dispatch::Dispatch;
use super::tuning::Tuning;
use crate::for_each_op;
use crate::step::{Op, Program};
use kernel::Kernel;

macro_rules! kernels {
    ($($name:ident $stem:ident,)*) => {
        $(mod $stem;)*

        /// The dispatch of an operation for a tuning, in a block with chunks of `chunk_len` tokens. `None` for copies and messages.
        pub fn dispatch(program: &Program, op: &Op, tuning: &Tuning, chunk_len: u32) -> Option<Dispatch> {
            let dispatch = match op { $(Op::$name(op) => op.dispatch(program, tuning, chunk_len),)* };
            dispatch.map(|dispatch| dispatch.with_precisions(program, op))
        }
    };
}

for_each_op!(kernels);
