//! Exact back-propagation for long sequences, chunk by chunk, in a browser tab or natively.
//!
//! # One step
//!
//! ```text
//! model::Config ──┐
//! step::Strategy ─┼─▶ step::Program ──▶ step::Memory ──▶ gpu::Executor         on a device
//! step::BatchShape┘    tensors and       lives, places  └─▶ reference::Executor   in f64 on the CPU
//!                      operations        and the peak
//! ```
//!
//! A [`step::Program`] is the list of operations of one training step: forward, loss, backward, update, each a list of builder
//! calls that reads like what it describes. Out of it come, without running anything, the life of every tensor, its place, the
//! peak, and the cost of every operation. An executor allocates what the plan says and runs the list. [`train`] makes a run of steps,
//! and the page and the command line show it.
//!
//! # Map
//!
//! [`error`], [`model`], [`step`], [`reference`], [`gpu`], [`train`], [`web`]: each module imports only from those before it.
//! `step` and `model` know no GPU, `gpu` knows no transformer, `reference` never sees the GPU's code.
//!
//! # Invariants
//!
//! - The gradients are the same bits for every chunk length and strategy on one adapter. `docs/backward.md` says why.
//! - The bytes of the buffers created are those of the plan.
//! - A batch is packed: sequences lie behind one another without padding.
//! - On the device every row is padded with zeros to a multiple of four floats, each head apart, and padding stays zero.
//!
//! # Letters
//!
//! In shapes: `N` tokens of a batch, `T` of a sequence, `C` of a chunk, `L` layers, `D` hidden_size, `F` intermediate_size, `H` query
//! heads, `K` key/value heads, `E` head_dim, `V` vocab_size.

pub mod error;
pub mod gpu;
pub mod model;
pub mod reference;
pub mod step;
pub mod train;
pub mod web;
