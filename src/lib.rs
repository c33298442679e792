//! StreamBP.
pub mod error;
pub mod gpu;
pub mod model;
pub mod reference;
pub mod step;
pub mod train;
pub mod web;
