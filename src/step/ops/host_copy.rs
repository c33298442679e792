//! A copy between the device and the host.

use super::operation::{Operation, Sizes};

operation! {
    /// `out[i] = x[i]`, where one of the two is in host memory. It is a buffer copy without a shader.
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
