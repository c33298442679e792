//! Receives rows of a tensor from another rank.

use super::operation::{Operation, Sizes};
use crate::step::message::Message;

operation! {
    /// Overwrites rows of `out` with what another rank sends, in the device's layout.
    Receive {
        /// (any shape)
        write out,
        ;
        /// Which rows, from whom.
        message: Message,
    }
}

impl Operation for Receive {
    fn flops(&self, _: &Sizes) -> u64 {
        0
    }

    fn rows_read(&self, _: &Sizes, _: &str) -> Option<u64> {
        Some(self.message.rows.into())
    }
}
