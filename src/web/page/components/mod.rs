//! Parts that several views have.

pub mod axes;
pub mod heat;
pub mod memory_areas;
pub mod tooltip;
pub mod why_not;
