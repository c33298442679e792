//! One training step as data: its tensors, its operations, and their execution order.
//!
//! A [`Program`] is built once from a model, the shape of a packed batch and a [`Strategy`]. It is a pure description: it holds no GPU
//! objects and no tensor data. A [`Plan`] adds the memory layout for a device's limits: chunk lengths, live ranges, allocations, and the
//! peak. The [`Cost`] of every operation is known without running anything. [`crate::gpu`] runs a plan on a device, [`crate::reference`]
//! runs a program in f64.
//!
//! Read it in the order of the data flow: `training_step`, [`forward`], [`loss`], [`backward`], [`update`]. The operations are in [`ops`].

pub mod backward;
pub mod forward;
pub mod loss;
pub mod objective;
pub mod ops;
pub mod roll_out;
pub mod update;

mod adaptive_chunks;
mod batch;
mod borders;
mod builder;
mod chunk;
mod cost;
mod exchange;
mod execution_order;
mod inputs;
mod labelled_tiles;
mod memory_layout;
mod message;
mod next_batch;
mod packing;
mod pieces;
mod plan;
mod program;
mod recompute;
mod sampling;
mod saved_activations;
mod share;
mod split;
mod strategy;
mod tensor;
mod trace;
mod training_step;

pub use adaptive_chunks::LONGEST_CHUNK;
pub use batch::{Batch, BatchShape, IGNORED_LABEL};
pub use borders::borders;
pub use builder::Builder;
pub use chunk::{Chunk, ChunkOrder};
pub use cost::Cost;
pub use exchange::{MOMENT_REQUESTS, MOMENTS};
pub use execution_order::{Granularity, OpInstance};
pub use labelled_tiles::LabelledTiles;
pub use memory_layout::{Allocation, Buffer, ProgramPoint};
pub use message::{BatchOfStep, Batches, Message};
pub use objective::{DpoLossType, DpoSettings, GrpoLossType, GrpoSettings, ImportanceSamplingLevel, Objective, SampleMean};
pub use ops::{NormGroups, Op, OpKind, RowSlice, VocabRange};
pub use plan::{Limits, LiveTensor, Plan};
pub use program::{
    Bindings, Block, Lookahead, NextBindings, Node, PairBindings, ParameterSlice, Pass, Program, RollOutBindings, SampleBindings,
};
pub use saved_activations::{SavedActivation, SavedActivations};
pub use share::Share;
pub use split::Split;
pub use strategy::{Strategy, StrategyKind};
pub use tensor::{BINDING_ALIGNMENT, Element, Precision, Rows, SUM_BLOCK, Storage, TOKEN_TILE, Tensor, TensorId, TensorKind, VOCAB_TILE};
