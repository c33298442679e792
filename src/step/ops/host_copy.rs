//! A copy between the device and the host.

use super::operation::{Operation, Sizes};

operation! {
    /// `out[i] = x[i]`, where one of the two lies on the host. It is a copy, and has no shader.
    HostCopy {
        /// (C×D, or N×D on the host)
        read x,
        /// (C×D, or N×D on the host)
        write out,
    }
}

impl Operation for HostCopy {
    fn flops(&self, _: &Sizes) -> u64 {
        0
    }
}
