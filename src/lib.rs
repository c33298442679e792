//! Exact back-propagation for long sequences, chunk by chunk, in a browser tab or natively.
//!
//! # One step
//!
//! ```text
//! model::ModelSpec ─┐
//! step::Strategy ───┼─▶ step::Program ──▶ step::Plan ──▶ gpu::Kernels ──▶ gpu::Executor     on a device
//! step::BatchShape ─┘    tensors and      live ranges,   lowered, fused,  buffers
//!                        operations       allocations,   compiled
//!                            │            peak
//!                            └─▶ reference::Executor                                        in f64 on the CPU
//! ```
//!
//! A [`step::Program`] is the list of operations of one training step, in blocks that run chunk by chunk. Each pass is a list of builder
//! calls that reads like the computation:
//!
//! 1. clear: gradients and metrics are set to zero;
//! 2. [`step::forward`]: layer by layer, chunks from first to last; the strategy `stream` saves the input of each layer;
//! 3. [`step::loss`]: chunks from last to first; the gradient of the last hidden state overwrites it;
//! 4. [`step::backward`]: layers from last to first, chunks from last to first; each chunk is recomputed, and the gradient propagates
//!    through
//!    it in place;
//! 5. [`step::update`]: gradient clipping and AdamW;
//! 6. [`step::roll_out`], where a step learns from rewards: completions are sampled for the next one.
//!
//! A [`step::Plan`] adds the memory layout for a device's limits, without running anything: chunk lengths, live ranges, allocations, and
//! the peak. [`gpu::Kernels`] are the operations lowered to dispatches, fused and compiled. A [`gpu::Executor`] allocates the plan's memory
//! and runs the operations. [`train`] runs many steps; the page and the command line display them.
//!
//! # Map
//!
//! | module | contents |
//! |---|---|
//! | [`error`] | errors that a user can cause or fix |
//! | [`shaders`] | the source of the shaders |
//! | [`model`] | configuration, parameters, files, presets |
//! | [`text`] | tokenizers, chat templates, documents |
//! | [`step`] | one training step as data, its memory plan and its cost |
//! | [`mod@reference`] | the reference implementation in f64 on the CPU |
//! | [`gpu`] | kernels and executor: runs a plan on a device |
//! | [`train`] | the trainer, datasets, snapshots, generation, verification of exactness |
//! | `web` | the page and its workers |
//!
//! Each module imports only from those above it. `step` and `model` do not know about the GPU, `text` not about training, `gpu` not about
//! transformers, and `reference` shares no code with `gpu`.
//!
//! # Invariants
//!
//! - On one adapter the gradients are bit-identical for every chunk length and strategy; `docs/backward.md` explains why. So the order of
//!   every
//!   sum over tokens is fixed, and only the uniforms and the grid of a kernel may depend on the chunk.
//! - The plan's bytes are exactly those of the created buffers.
//! - A batch is packed: sequences are concatenated without padding.
//! - On the device every row is padded with zeros to a multiple of four floats, each head separately, and padding stays zero.
//!
//! # Letters
//!
//! In shapes: `N` tokens of a batch, `T` tokens of a sequence, `C` tokens of a chunk, `L` layers, `D` hidden_size, `F` intermediate_size,
//! `H` query heads, `K` key/value heads, `E` head_dim, `V` vocab_size. For a projection, `K` stands for its inputs and `M` for its outputs.

pub mod error;
pub mod gpu;
pub mod model;
pub mod reference;
pub mod shaders;
pub mod step;
pub mod text;
pub mod train;
#[doc(hidden)]
pub mod web;
