//! Every text of the page, in one place.

use super::form::SourceChoice;
use super::format::{bytes, whole};
use super::picture::{Bar, Part};
use crate::step::{Pass, StrategyKind};

pub const TITLE: &str = "StreamBP";
pub const SUBTITLE: &str = "Exact back-propagation for long sequences, chunk by chunk";
pub const ABOUT: &str = "Training a language model needs far more memory than running it, because the backward pass wants every \
    activation again. StreamBP keeps only the layers' inputs and recomputes the rest for one chunk of one layer at a time, so the \
    gradient is the same to the last bit and the memory is a fraction; this page trains a small model with it, on your own GPU, in this tab.";

pub const DATA: &str = "Data";
pub const SOURCE: &str = "Learn from";
pub const FILE: &str = "Drop a text file here, or choose one";
pub const PASTE: &str = "Or paste a text";
pub const USE_PASTE: &str = "Use this text";
pub const NO_TEXT: &str = "there is no text yet; drop a text file, choose one or paste some text, or take a built-in source";
pub const EMPTY_PASTE: &str = "the text field is empty; paste some text first";
pub const RUN_IN_PROGRESS: &str = "a run is in progress; reset it before you give it another text";
pub const LOCKED: &str = "These settings belong to the run in progress. Reset it to change them.";

pub const MODEL: &str = "Model and step";
pub const PRESET: &str = "Preset";
pub const SEQ_LEN: &str = "Sequence length";
pub const BATCH: &str = "Sequences in a batch";
pub const STRATEGY: &str = "Strategy";
pub const CHUNK: &str = "Chunk length";
pub const LOGITS_CHUNK: &str = "Logits chunk";
pub const LEARNING_RATE: &str = "Learning rate";
pub const STEPS: &str = "Steps";
pub const SAMPLE_EVERY: &str = "Steps to a sample";
pub const PROMPT: &str = "Samples begin with";
pub const TOKENS: &str = "tokens";
pub const CHUNKS_UNUSED: &str = "Only the strategy stream has chunks.";

pub const TRAINING: &str = "Training";
pub const START: &str = "Start";
pub const CONTINUE: &str = "Continue";
pub const PAUSE: &str = "Pause";
pub const STEP: &str = "One step";
pub const RESET: &str = "Reset";
pub const LOADING: &str = "Looking for a GPU …";
pub const READY: &str = "Ready";
pub const TRAINS: &str = "Training";
pub const PAUSED: &str = "Paused";
pub const STOPPED: &str = "Stopped by an error";

pub const LOSS: &str = "Loss";
pub const VALIDATION_LOSS: &str = "Validation loss";
pub const ACCURACY: &str = "Right answers";
pub const TOKENS_PER_SECOND: &str = "Tokens per second";
pub const STEP_TIME: &str = "Time of a step";
pub const GRAD_NORM: &str = "Gradient norm";
pub const STEPS_DONE: &str = "Steps done";
pub const CURVE: &str = "Loss curve";
pub const CURVE_EMPTY: &str = "The curve begins with the first step.";
pub const CURVE_AXES: &str = "Loss in nats per token, over steps";
pub const AS_TABLE: &str = "The same as a table";
pub const LAST_STEPS: &str = "The last steps";
pub const SAMPLE: &str = "What the model writes";
pub const SAMPLE_EMPTY: &str = "Nothing yet. It will be noise at first, then words, then something like the text.";
pub const SAMPLE_RECALL: &str = "The recall task is judged by its answers, not by what the model writes.";

pub const MEMORY: &str = "Memory of a step";
pub const MEMORY_ABOUT: &str = "Planned before anything is allocated, and redrawn as you type.";
pub const MEMORY_NONE: &str = "There is no plan for these settings: mend the one that the message above names.";
pub const PEAKS: &str = "The same step under three strategies";
pub const PEAKS_ABOUT: &str = "Bytes of all GPU buffers, on one scale. Loss and gradients are the same bits in all three.";
pub const GRID: &str = "Memory per chunk";
pub const GRID_ABOUT: &str = "What is held for each chunk of each layer when the backward pass, from the top row down and from right to \
    left, is at work on it. Areas are bytes: a bar is as wide as its chunk has tokens. Plain: kept since the forward pass. Hatched: \
    there only while it is the turn of this chunk, or of this layer.";
pub const GRID_SHARED: &str = "all chunks";
pub const GRID_HEAD: &str = "Loss head";
pub const GRID_CHUNK: &str = "chunks, first to last";
pub const GRID_COLUMNS: [&str; 5] = ["Row", "Chunks", "Bytes of the first chunk", "Kept", "In its turn only"];
pub const TIMELINE: &str = "Memory through the step";
pub const TIMELINE_ABOUT: &str = "Bytes alive at every operation, in the order of the step; what is repeated for each chunk is drawn once.";
pub const PEAK: &str = "Peak";
pub const UNUSED: &str = "Gaps";
pub const PART: &str = "Part";
pub const PLANNED: &str = "Planned";
pub const CREATED: &str = "Buffers created by the run";
pub const NOT_CREATED: &str = "none yet";
pub const SAMPLES_EXTRA: &str = "Samples use a few buffers of their own beside the step's.";
pub const TOO_LARGE: &str = "more than this device can hold";

/// The name of a source of text.
pub fn source(choice: SourceChoice) -> &'static str {
    match choice {
        SourceChoice::OwnSource => "This project's source code",
        SourceChoice::Recall => "The recall task",
        SourceChoice::Text => "My text",
    }
}

/// What a source of text is.
pub fn source_about(choice: SourceChoice) -> &'static str {
    match choice {
        SourceChoice::OwnSource => "Rust, byte by byte; the last tenth is kept for validation.",
        SourceChoice::Recall => {
            "Keys and values early in the sequence, questions late: it can be learned only if the gradient reaches across the whole sequence."
        }
        SourceChoice::Text => "Your text stays in this tab. The last tenth is kept for validation.",
    }
}

/// What a strategy does.
pub fn strategy_about(kind: StrategyKind) -> &'static str {
    match kind {
        StrategyKind::Standard => "Keeps every activation of every layer; recomputes nothing.",
        StrategyKind::Checkpoint => "Keeps the layers' inputs; recomputes a layer at a time.",
        StrategyKind::Stream => "Keeps the layers' inputs; recomputes a chunk of a layer at a time.",
    }
}

/// What a part of the memory is.
pub fn part(part: Part) -> &'static str {
    match part {
        Part::Weights => "Weights",
        Part::Gradients => "Gradients",
        Part::Optimizer => "Optimizer",
        Part::Tables => "Batch and tables",
        Part::LayerInputs => "Layer inputs",
        Part::Hidden => "Hidden state and its gradient",
        Part::KeysValues => "Keys and values",
        Part::Activations => "Chunk activations",
        Part::Logits => "Logits",
    }
}

/// A part of the step.
pub fn pass(pass: Pass) -> &'static str {
    match pass {
        Pass::Clear => "clear",
        Pass::Forward => "forward",
        Pass::Loss => "loss",
        Pass::Backward => "backward",
        Pass::Update => "update",
    }
}

/// The text that was given.
pub fn given(name: &str, length: usize) -> String {
    format!("{name}: {} bytes", whole(length as u64))
}

/// That a chunk is longer than what was typed.
pub fn rounded(length: u32) -> String {
    format!("Rounded up to {length}: a chunk is a whole number of tiles of 64 tokens.")
}

/// A strategy's share of the largest.
pub fn peak(bar: &Bar, standard: u64) -> String {
    let share = 100.0 * bar.peak_bytes as f64 / standard.max(1) as f64;
    format!("{} ({share:.0} %)", bytes(bar.peak_bytes))
}

/// Where the peak is.
pub fn peak_at(bar: &Bar) -> String {
    match bar.at.1 {
        Some(layer) => format!("peak at {}, layer {layer}", bar.at.0),
        None => format!("peak at {}", bar.at.0),
    }
}

/// A row of the grid.
pub fn layer(number: u32) -> String {
    format!("Layer {number}")
}

/// That a bar stands for several chunks.
pub fn merged(chunks: u32) -> String {
    format!("There are more chunks than fit: each bar stands for the first of {chunks} alike.")
}

/// A file that is no text.
pub fn not_utf8(name: &str) -> String {
    format!("{name} is not UTF-8 text; save it as UTF-8, or choose another file")
}

/// A file that the browser would not read.
pub fn unreadable(name: &str) -> String {
    format!("{name} could not be read; choose it again, or another file")
}

/// A worker that stopped.
pub fn worker_stopped(reason: &str) -> String {
    format!("the worker stopped ({reason}); it has been started anew, and what was measured is still here: press start for a new run")
}
