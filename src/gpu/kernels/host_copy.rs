//! A host copy has no kernel: see `gpu::offload`.

use super::kernel::Kernel;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::tuning::Tuning;
use crate::step::Program;
use crate::step::ops::HostCopy;

impl Kernel for HostCopy {
    fn dispatch(&self, _: &Program, _: &Tuning, _: u32) -> Option<Dispatch> {
        None
    }
}
