//! Axes of charts: scales, ticks, and the labels of ticks. Nothing here knows of a browser.

mod axes;
mod labels;
mod memory;
mod scale;

pub use axes::{Axes, SIDE};
pub use labels::{number, short_bytes, spread, tokens};
pub use memory::{BudgetPlace, memory_scale};
pub use scale::Scale;
