//! Sends rows of a tensor to another rank.

use super::operation::{Operation, Sizes};
use crate::step::message::Message;

operation! {
    /// Sends rows of `x` to another rank, in the device's layout. The computation goes on meanwhile.
    Send {
        /// (any shape)
        read x,
        ;
        /// Which rows, to whom.
        message: Message,
    }
}

impl Operation for Send {
    fn flops(&self, _: &Sizes) -> u64 {
        0
    }

    fn rows_read(&self, _: &Sizes, _: &str) -> Option<u64> {
        Some(self.message.rows.into())
    }
}
