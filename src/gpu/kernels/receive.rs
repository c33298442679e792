//! A message has no kernel: see `gpu::exchange`.

use super::kernel::Kernel;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::Program;
use crate::step::ops::Receive;

impl Kernel for Receive {
    fn dispatch(&self, _: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        None
    }
}
