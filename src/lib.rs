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
//! A [`step::Program`] is the list of operations of one training step, in blocks that run chunk by chunk. Each part is a list
//! of builder calls that reads like what it describes:
//!
//! 1. gradients and metrics are set to zero;
//! 2. [`step::forward`]: layer by layer, chunks from first to last; the strategy `stream` saves the input of each layer;
//! 3. [`step::loss`]: chunks from last to first; the last hidden state is overwritten by its gradient;
//! 4. [`step::backward`]: layers from last to first, chunks from last to first; a chunk is recomputed, and the gradient goes
//!    through it in place;
//! 5. [`step::update`]: clipping and AdamW.
//!
//! A [`step::Plan`] is made of it for a device's limits, without running anything: how long chunks are, the live range of every tensor,
//! where it lies, and the peak. [`gpu::Kernels`] are the operations lowered to dispatches, fused and compiled. A [`gpu::Executor`]
//! allocates what the plan says and runs the list. [`train`] makes a run of steps, and the page and the command line show it.
//!
//! # Map
//!
//! | module | has |
//! |---|---|
//! | [`error`] | every way that a run can fail |
//! | [`shaders`] | the shaders' files as text |
//! | [`model`] | sizes, the table of parameters, files, presets |
//! | [`text`] | texts and conversations as token ids: tokenizers, chat templates |
//! | [`step`] | one training step as data, its plan and its cost |
//! | [`mod@reference`] | every operation and whole programs in f64 on the CPU |
//! | [`gpu`] | a plan on a device |
//! | [`train`] | the run, its data, snapshots, generation, the proof of exactness |
//! | `web` | the page and its workers |
//!
//! Each module imports only from those above it. `step` and `model` know no GPU, `text` knows nothing of training, `gpu` knows no transformer, `reference` never sees
//! the GPU's code.
//!
//! # Invariants
//!
//! - The gradients are the same bits for every chunk length and strategy on one adapter. `docs/backward.md` says why. So every sum
//!   over tokens keeps its order, and nothing about a kernel but its uniforms and its grid may depend on the chunk.
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
pub mod shaders;
pub mod step;
pub mod text;
pub mod train;
#[doc(hidden)]
pub mod web;
