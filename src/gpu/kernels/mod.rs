//! One file for each operation: what its shader is bound to, its constants and its grid. No arithmetic.

mod kernel;

use super::dispatch::Dispatch;
use super::tuning::Tuning;
use crate::for_each_op;
use crate::step::{Op, Program};
pub(super) use kernel::Fusion;
use kernel::Kernel;

macro_rules! kernels {
    ($($name:ident $stem:ident,)*) => {
        $(mod $stem;)*

        /// An operation's dispatch on a device of that class; none if it is a copy.
        pub fn dispatch(program: &Program, op: &Op, tuning: &Tuning) -> Option<Dispatch> {
            match op { $(Op::$name(op) => op.dispatch(program, tuning),)* }
        }

        /// How an operation may share a dispatch with its neighbours.
        pub(super) fn fusion(op: &Op) -> Fusion {
            match op { $(Op::$name(op) => op.fusion(),)* }
        }
    };
}

for_each_op!(kernels);
