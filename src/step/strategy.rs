//! How a step walks the grid of layers × chunks, and what it keeps on the way.

use std::fmt;
use std::str::FromStr;

use super::{SavedActivation, SavedActivations, TOKEN_TILE, VOCAB_TILE};
use crate::error::Error;
use crate::model::BINDING_BYTES;

/// The three ways to back-propagate that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyKind {
    /// SavedActivation every activation of every layer; recompute nothing.
    Standard,
    /// SavedActivation layer inputs; recompute a layer at a time.
    Checkpoint,
    /// SavedActivation layer inputs; recompute a chunk of a layer at a time.
    Stream,
}

impl StrategyKind {
    /// All of them, the hungriest first.
    pub const ALL: [StrategyKind; 3] = [StrategyKind::Standard, StrategyKind::Checkpoint, StrategyKind::Stream];

    /// The name in the terminal, in files and on the page.
    pub fn name(self) -> &'static str {
        match self {
            StrategyKind::Standard => "standard",
            StrategyKind::Checkpoint => "checkpoint",
            StrategyKind::Stream => "stream",
        }
    }

    /// The end of a sentence that asks for less memory.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            StrategyKind::Stream => "",
            _ => ", the strategy stream",
        }
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StrategyKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        StrategyKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::Setting(format!("there is no strategy \"{name}\"; there are standard, checkpoint and stream")))
    }
}

/// A strategy with its chunk lengths, in whole token tiles, and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Strategy {
    /// Which of the three.
    pub kind: StrategyKind,
    /// Tokens of a chunk in the layers; `None` is the whole batch.
    chunk: Option<u32>,
    /// Tokens of a chunk in the loss head; `None` is the whole batch.
    logits_chunk: Option<u32>,
    /// Bytes of a chunk's logits at most; more are taken in blocks of words. `None` is all words at once.
    logits_bytes: Option<u64>,
    /// What is kept of a layer beside its input; `standard` keeps everything.
    #[serde(default)]
    saved_activations: SavedActivations,
    /// Do inputs of layers wait on the host?
    #[serde(default)]
    offload: bool,
    /// Are chunks longer where that costs no memory?
    #[serde(default)]
    adaptive_chunks: bool,
}

impl Default for Strategy {
    /// `stream` with adaptive chunks of 128 tokens or more.
    fn default() -> Self {
        Strategy::stream(128, 128).with_adaptive_chunks(true)
    }
}

impl Strategy {
    /// Standard back-propagation.
    pub const STANDARD: Strategy = Strategy {
        kind: StrategyKind::Standard,
        chunk: None,
        logits_chunk: None,
        logits_bytes: None,
        saved_activations: SavedActivations::NONE,
        offload: false,
        adaptive_chunks: false,
    };
    /// Gradient checkpointing, a layer at a time.
    pub const CHECKPOINT: Strategy = Strategy { kind: StrategyKind::Checkpoint, ..Strategy::STANDARD };

    /// StreamBP with chunks of that many tokens, each rounded up to a whole number of token tiles.
    pub fn stream(chunk: u32, logits_chunk: u32) -> Strategy {
        let tiles = |tokens: u32| Some(tokens.max(1).div_ceil(TOKEN_TILE).saturating_mul(TOKEN_TILE));
        let (chunk, logits_chunk) = (tiles(chunk), tiles(logits_chunk));
        Strategy { kind: StrategyKind::Stream, chunk, logits_chunk, logits_bytes: Some(BINDING_BYTES), ..Strategy::CHECKPOINT }
    }

    /// The strategy of that kind. The chunk lengths matter to `stream` alone.
    pub fn new(kind: StrategyKind, chunk: u32, logits_chunk: u32) -> Strategy {
        match kind {
            StrategyKind::Standard => Strategy::STANDARD,
            StrategyKind::Checkpoint => Strategy::CHECKPOINT,
            StrategyKind::Stream => Strategy::stream(chunk, logits_chunk),
        }
    }

    /// C: the chunk length in the layers, for a batch of that many tokens; where chunks are stretched, the shortest.
    pub fn chunk(&self, tokens: u32) -> u32 {
        self.chunk.map_or(tokens, |chunk| chunk.min(tokens))
    }

    /// Tokens of a ring that holds a chunk and what a window looks back on, in whole chunks; `None` if a batch of that many tokens has no
    /// more of them.
    pub fn ring(&self, tokens: u32, window: u32) -> Option<u32> {
        let chunk = self.chunk(tokens);
        let ring = ((window - 1).div_ceil(chunk) + 1).saturating_mul(chunk);
        (ring < tokens).then_some(ring)
    }

    /// C': the chunk length in the loss head, for a batch of that many tokens.
    pub fn logits_chunk(&self, tokens: u32) -> u32 {
        self.logits_chunk.map_or(tokens, |chunk| chunk.min(tokens))
    }

    /// The same with so many bytes of logits at most, or what one tile of tokens and one of words takes.
    pub fn with_logits_bytes(self, bytes: u64) -> Strategy {
        Strategy { logits_bytes: Some(bytes), ..self }
    }

    /// Words of a block of logits, for a batch of that many tokens.
    pub fn vocab_range_len(&self, tokens: u32, vocab_size: u32) -> u32 {
        let Some(bytes) = self.logits_bytes else { return vocab_size };
        let tiles = bytes / (4 * u64::from(self.logits_chunk(tokens)) * u64::from(VOCAB_TILE));
        u32::try_from(tiles.max(1)).map_or(vocab_size, |tiles| tiles.saturating_mul(VOCAB_TILE).min(vocab_size))
    }

    /// The same with that kept of layers beside their inputs, so that it is not computed again. `standard` keeps everything anyway.
    pub fn saving(self, saved_activations: SavedActivations) -> Strategy {
        if self.kind == StrategyKind::Standard { self } else { Strategy { saved_activations, ..self } }
    }

    /// The same with the inputs of layers on the host from the forward pass to the backward pass, or not.
    pub fn offloading(self, offload: bool) -> Strategy {
        Strategy { offload, ..self }
    }

    /// Do the inputs of layers wait on the host?
    pub fn offloads(&self) -> bool {
        self.offload
    }

    /// The same with longer chunks wherever the step needs less memory than at its peak, or with chunks of one length.
    pub fn with_adaptive_chunks(self, adaptive: bool) -> Strategy {
        Strategy { adaptive_chunks: adaptive && self.kind == StrategyKind::Stream, ..self }
    }

    /// Are chunks longer where that costs no memory?
    pub fn has_adaptive_chunks(&self) -> bool {
        self.adaptive_chunks
    }

    /// What is kept of layers beside their inputs.
    pub fn saved_activations(&self) -> SavedActivations {
        if self.kind == StrategyKind::Standard { SavedActivations::ALL } else { self.saved_activations }
    }

    /// Is that kept of a layer, in a model of so many?
    pub fn saves(&self, activation: SavedActivation, layer: u32, layers: u32) -> bool {
        layer >= layers.saturating_sub(self.saved_activations().layers(activation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_tiles_and_never_longer_than_the_batch() {
        let strategy = Strategy::stream(65, 1);
        assert_eq!((strategy.chunk(1000), strategy.logits_chunk(1000)), (128, 64));
        assert_eq!((strategy.chunk(100), strategy.logits_chunk(10)), (100, 10));
        assert_eq!(Strategy::STANDARD.chunk(1000), 1000);
    }

    #[test]
    fn what_was_written_before_there_was_more_to_keep_is_read() {
        let old = r#"{"kind":"stream","chunk":128,"logits_chunk":64,"logits_bytes":134217728}"#;
        let strategy: Strategy = serde_json::from_str(old).unwrap();
        assert_eq!(strategy, Strategy::stream(128, 64));
        let new = strategy.saving("attention:2".parse().unwrap()).offloading(true).with_adaptive_chunks(true);
        assert_eq!(serde_json::from_str::<Strategy>(&serde_json::to_string(&new).unwrap()).unwrap(), new);
    }

    #[test]
    fn a_ring_holds_what_a_chunk_sees() {
        let strategy = Strategy::stream(64, 64);
        for (window, ring) in [(1, 64), (2, 128), (65, 128), (66, 192), (449, 512)] {
            assert_eq!(strategy.ring(513, window), Some(ring), "{window}");
        }
        assert_eq!(strategy.ring(512, 449), None, "it would hold the whole batch");
        assert_eq!(strategy.ring(1 << 31, u32::MAX), None);
        assert_eq!(Strategy::CHECKPOINT.ring(1000, 1), None);
    }
}
