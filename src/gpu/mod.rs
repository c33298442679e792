//! Runs a [`Plan`](crate::step::Plan) on a device.
//!
//! [`Kernels`] are the operations of a plan, lowered to dispatches, fused with their neighbours where possible, and compiled. An
//! [`Executor`] allocates the plan's memory and binds the kernels to it, once: one bind group per dispatch, one uniform slot per operation
//! and per chunk. A step then only encodes and submits.
//!
//! Nothing here knows about transformers.

mod bound_kernels;
mod buffers;
mod ceilings;
mod cutting;
mod device;
mod device_class;
mod device_memory;
mod dispatch;
mod exchange;
mod executor;
mod fusion;
mod host_memory;
mod kernels;
mod launches;
mod listing;
mod lowering;
mod memory_counter;
#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
mod mpi;
mod offload;
mod part;
mod pieces;
mod pipelines;
mod predictor;
mod profiler;
mod shader;
mod throttle;
mod transfer;
mod tuning;
mod tuning_candidates;

pub use ceilings::Ceilings;
pub use device::{AdapterSummary, Gpu};
pub use device_class::DeviceClass;
pub use exchange::Transport;
pub use executor::Executor;
pub use listing::{File, Line, Mark, Named, pieces};
pub use lowering::Kernels;
#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
pub use mpi::World;
pub use predictor::{DeviceSpeed, Predictor};
pub use profiler::OpTime;
pub use throttle::PendingMetrics;
pub use tuning::{HeadTile, Sharing, TokenTile, Tuning, WeightTile};
pub use tuning_candidates::TunableOp;

// What tests look into.
#[doc(hidden)]
pub use cutting::{Cut, DispatchLimit, Whole};
#[doc(hidden)]
pub use device_memory::DeviceMemory;
#[doc(hidden)]
pub use dispatch::{BindingAccess, Dispatch, Grid, Group, Value};
#[doc(hidden)]
pub use fusion::{FusedDispatch, KernelSource};
#[doc(hidden)]
pub use kernels::dispatch;
#[doc(hidden)]
pub use launches::Launch;
#[doc(hidden)]
pub use part::Part;
#[doc(hidden)]
pub use shader::Shader;
