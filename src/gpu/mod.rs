//! Runs a [`Program`](crate::step::Program) on a device: one pipeline for each kind of operation, one bind group for each
//! operation or for several that go together, one uniform slot for each operation and each chunk, all made once. A step only encodes and submits.
//!
//! Nothing here knows what a transformer is.

mod allocation;
mod buffers;
mod candidates;
mod ceilings;
mod device;
mod dispatch;
mod executor;
mod joint;
mod kernels;
mod launch;
mod offload;
mod pace;
mod pipelines;
mod profiler;
mod shader;
mod transfer;
mod tuning;

pub use allocation::Allocation;
pub use candidates::Knob;
pub use ceilings::Ceilings;
pub use device::{AdapterSummary, Gpu};
pub use executor::Executor;
pub use joint::{Code, Joint};
pub use kernels::launch;
pub use launch::{Access, Grid, Launch, Value};
pub use pace::Asked;
pub use profiler::OpTime;
pub use shader::{Shader, shaders};
pub use tuning::{HeadTile, Sharing, TokenTile, Tuning, WeightTile};
