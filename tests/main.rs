//! One test binary, so that everything is linked only once.

mod support;

mod adapters;
mod bf16;
mod broken_models;
mod command_line;
mod configs;
mod contraction;
mod conversations;
mod decode;
mod dispatch_length;
mod evaluation;
mod examples;
mod fixtures;
mod foreign_files;
mod interruptions;
mod labels;
mod memory;
#[cfg(feature = "mpi")]
mod mpi;
mod occupancy;
mod ops;
mod pieces;
mod predictor;
mod preferences;
mod program;
mod ragged;
mod ranks;
mod registers;
mod resume;
mod rewards;
mod roll_outs;
mod same_bits;
mod shaders;
mod terminal;
mod training;
mod transformers;
mod tuning;
mod update;
mod verify;
