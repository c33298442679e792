//! One training step as data: which tensors there are, which operations run on them, in which order.
//!
//! A [`Program`] is built once for a model, a packed batch's shape and a [`Strategy`]. It holds no GPU object and no
//! numbers. Out of it come, without running anything, the [`Memory`] of the step (which tensor is alive when, where it
//! lies, the peak) and the [`Cost`] of every operation. [`crate::gpu`] runs it on a device, [`crate::reference`] in f64.
//!
//! Read it in the order of the data flow: [`forward`], [`loss`], [`backward`], [`update`].

pub mod backward;
pub mod forward;
pub mod loss;
pub mod update;

mod again;
mod batch;
mod builder;
mod cost;
mod decode;
mod keep;
mod memory;
mod op;
mod order;
mod packing;
mod program;
mod strategy;
mod stretch;
mod tensor;
mod trace;

pub use batch::{Batch, BatchShape};
pub use builder::Builder;
pub use cost::Cost;
pub use keep::{Keep, KeepSet};
pub use memory::{Alive, Buffer, Limits, Memory, Moment, Place};
pub use op::{Groups, Op, OpKind, Slice, Words};
pub use order::{Stride, Turn};
pub use program::{Block, Chunk, Lead, Node, Part, Pass, Program, Walk};
pub use strategy::{Strategy, StrategyKind};
pub use tensor::{Element, Kind, Rows, Storage, Tensor, TensorId};

/// Tokens of a tile: every sum over tokens is cut here and nowhere else, so every chunk is a whole number of them.
///
/// 64 tokens of four-byte elements are 256 bytes, the offset alignment that WebGPU guarantees.
pub const TOKEN_TILE: u32 = 64;

/// Bytes to which WebGPU aligns the offset of a binding on every adapter.
pub const BINDING_ALIGNMENT: u64 = 256;

/// Words of a tile: sums over the vocabulary are cut here and where a tensor ends, so every block of logits is a whole number of
/// them.
pub const VOCAB_TILE: u32 = 1024;

/// The label of a token that takes no part in the loss.
pub const IGNORED_LABEL: u32 = u32::MAX;
