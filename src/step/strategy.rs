//! The strategy of a step: chunk lengths in the layers and in the loss head, saved activations, offloading, adaptive chunks, and groups of
//! layers.
//!
//! The gradients are bit-identical for every strategy; strategies differ in memory and time. Source: Luo et al., *StreamBP:
//! Memory-Efficient Exact Backpropagation for Long Sequence Training of LLMs* (2025, [arXiv 2506.03077](https://arxiv.org/abs/2506.03077)).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::{SavedActivation, SavedActivations, TOKEN_TILE, VOCAB_TILE};
use crate::error::Error;
use crate::model::BINDING_BYTES;

/// The three back-propagation strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyKind {
    /// Standard back-propagation: saves every activation of every layer and recomputes nothing.
    Standard,
    /// Gradient checkpointing (Chen et al. 2016): saves layer inputs and recomputes one layer at a time.
    Checkpoint,
    /// StreamBP: saves layer inputs and recomputes one chunk of a layer at a time.
    Stream,
}

impl StrategyKind {
    /// All strategies, the one with the highest peak first.
    pub const ALL: [StrategyKind; 3] = [StrategyKind::Standard, StrategyKind::Checkpoint, StrategyKind::Stream];

    /// The name on the command line, in files and on the page.
    pub fn name(self) -> &'static str {
        match self {
            StrategyKind::Standard => "standard",
            StrategyKind::Checkpoint => "checkpoint",
            StrategyKind::Stream => "stream",
        }
    }

    /// How an error message that suggests less memory continues.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            StrategyKind::Stream => ", shorter chunks",
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

/// A strategy with its parameters. Chunk lengths are whole token tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Strategy {
    /// Standard, checkpoint or stream.
    pub kind: StrategyKind,
    /// C: tokens of a chunk in the layers; `None` is the whole batch.
    chunk: Option<u32>,
    /// C': tokens of a chunk in the loss head; `None` is the whole batch.
    logits_chunk: Option<u32>,
    /// The most bytes of a chunk's logits; more are computed in ranges of the vocabulary. `None` is the whole vocabulary at once.
    logits_bytes: Option<u64>,
    /// What each layer saves in addition to its input; `standard` saves everything.
    #[serde(default)]
    saved_activations: SavedActivations,
    /// Are layer inputs offloaded to the host?
    #[serde(default)]
    offload: bool,
    /// Are chunks longer where that does not raise the peak?
    #[serde(default)]
    adaptive_chunks: bool,
    /// g: layers of a group, which keeps only the input of its lowest layer.
    #[serde(default = "one_layer")]
    layer_group: u32,
}

const fn one_layer() -> u32 {
    1
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
        layer_group: one_layer(),
    };
    /// Gradient checkpointing, one layer at a time.
    pub const CHECKPOINT: Strategy = Strategy { kind: StrategyKind::Checkpoint, ..Strategy::STANDARD };

    /// StreamBP with chunks of `chunk` tokens in the layers and `logits_chunk` in the loss head, both rounded up to whole token tiles.
    pub fn stream(chunk: u32, logits_chunk: u32) -> Strategy {
        let tiles = |tokens: u32| Some(tokens.max(1).div_ceil(TOKEN_TILE).saturating_mul(TOKEN_TILE));
        let (chunk, logits_chunk) = (tiles(chunk), tiles(logits_chunk));
        Strategy { kind: StrategyKind::Stream, chunk, logits_chunk, logits_bytes: Some(BINDING_BYTES), ..Strategy::CHECKPOINT }
    }

    /// The strategy of that kind. Only `stream` uses the chunk lengths.
    pub fn new(kind: StrategyKind, chunk: u32, logits_chunk: u32) -> Strategy {
        match kind {
            StrategyKind::Standard => Strategy::STANDARD,
            StrategyKind::Checkpoint => Strategy::CHECKPOINT,
            StrategyKind::Stream => Strategy::stream(chunk, logits_chunk),
        }
    }

    /// This strategy if it is of that kind, and otherwise the plain one with these chunk lengths: in the layers, and in the loss head.
    pub fn of_kind(self, kind: StrategyKind, [chunk, logits_chunk]: [u32; 2]) -> Strategy {
        if kind == self.kind { self } else { Strategy::new(kind, chunk, logits_chunk) }
    }

    /// C: the chunk length in the layers, in tokens, for a batch of that many tokens. With adaptive chunks it is the shortest.
    pub fn chunk(&self, tokens: u32) -> u32 {
        self.chunk.map_or(tokens, |chunk| chunk.min(tokens))
    }

    /// Rows of a ring that holds a chunk and the window before it, in whole chunks. `None` if that is no shorter than the batch.
    pub fn ring(&self, tokens: u32, window: u32) -> Option<u32> {
        let chunk = self.chunk(tokens);
        let ring = ((window - 1).div_ceil(chunk) + 1).saturating_mul(chunk);
        (ring < tokens).then_some(ring)
    }

    /// C': the chunk length in the loss head, in tokens, for a batch of that many tokens.
    pub fn logits_chunk(&self, tokens: u32) -> u32 {
        self.logits_chunk.map_or(tokens, |chunk| chunk.min(tokens))
    }

    /// The same with at most `bytes` bytes of logits at a time, but never less than a logits chunk times one vocabulary tile.
    pub fn with_logits_bytes(self, bytes: u64) -> Strategy {
        Strategy { logits_bytes: Some(bytes), ..self }
    }

    /// The most bytes of logits at a time; `None` if there is no limit.
    pub fn logits_bytes(&self) -> Option<u64> {
        self.logits_bytes
    }

    /// The length of a range of the vocabulary, in token ids, for a batch of that many tokens.
    pub fn vocab_range_len(&self, tokens: u32, vocab_size: u32) -> u32 {
        let Some(bytes) = self.logits_bytes else { return vocab_size };
        let tiles = bytes / (4 * u64::from(self.logits_chunk(tokens)) * u64::from(VOCAB_TILE));
        u32::try_from(tiles.max(1)).map_or(vocab_size, |tiles| tiles.saturating_mul(VOCAB_TILE).min(vocab_size))
    }

    /// The same with these activations saved in addition to layer inputs. `standard` saves everything anyway.
    pub fn saving(self, saved_activations: SavedActivations) -> Strategy {
        if self.kind == StrategyKind::Standard { self } else { Strategy { saved_activations, ..self } }
    }

    /// The same with layer inputs offloaded to the host between the forward and the backward pass, or not.
    pub fn offloading(self, offload: bool) -> Strategy {
        Strategy { offload, ..self }
    }

    /// Are layer inputs offloaded to the host?
    pub fn offloads(&self) -> bool {
        self.offload
    }

    /// The same with chunks that are longer wherever the step needs less memory than at its peak, or with fixed chunks. Only `stream` has
    /// adaptive chunks.
    pub fn with_adaptive_chunks(self, adaptive: bool) -> Strategy {
        Strategy { adaptive_chunks: adaptive && self.kind == StrategyKind::Stream, ..self }
    }

    /// Are chunks longer where that does not raise the peak?
    pub fn has_adaptive_chunks(&self) -> bool {
        self.adaptive_chunks
    }

    /// The same with groups of so many layers, of which only the lowest keeps its input. Only `stream` has groups of several layers.
    pub fn with_layer_group(self, layers: u32) -> Strategy {
        let layer_group = if self.kind == StrategyKind::Stream { layers.max(1) } else { 1 };
        Strategy { layer_group, ..self }
    }

    /// g: layers of a group, in a model of so many.
    pub fn layer_group(&self, layers: u32) -> u32 {
        self.layer_group.min(layers)
    }

    /// The groups of these layers, the lowest first. They are counted from the last layer, so it is the first group that may be smaller.
    pub fn layer_groups(&self, layers: Range<u32>) -> Vec<Range<u32>> {
        let size = self.layer_group(layers.end);
        let ends = (0..).map(|above| layers.end.saturating_sub(above * size)).take_while(|&end| end > layers.start);
        let mut groups: Vec<Range<u32>> = ends.map(|end| end.saturating_sub(size).max(layers.start)..end).collect();
        groups.reverse();
        groups
    }

    /// The activations that are saved in addition to layer inputs.
    pub fn saved_activations(&self) -> SavedActivations {
        if self.kind == StrategyKind::Standard { SavedActivations::ALL } else { self.saved_activations }
    }

    /// Does layer `layer` of `layers` save that activation?
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
    fn what_was_written_before_there_was_more_to_save_is_read() {
        let old = r#"{"kind":"stream","chunk":128,"logits_chunk":64,"logits_bytes":134217728}"#;
        let strategy: Strategy = serde_json::from_str(old).unwrap();
        assert_eq!(strategy, Strategy::stream(128, 64));
        let new = strategy.saving("attention:2".parse().unwrap()).offloading(true).with_adaptive_chunks(true);
        assert_eq!(serde_json::from_str::<Strategy>(&serde_json::to_string(&new).unwrap()).unwrap(), new);
    }

    #[test]
    fn groups_are_counted_from_the_last_layer() {
        let groups = |size, layers| Strategy::stream(64, 64).with_layer_group(size).layer_groups(layers);
        assert_eq!(groups(1, 0..3), [0..1, 1..2, 2..3]);
        assert_eq!(groups(3, 0..4), [0..1, 1..4]);
        assert_eq!(groups(2, 3..6), [3..4, 4..6], "frozen layers below are in no group");
        assert_eq!((groups(u32::MAX, 1..4).len(), groups(u32::MAX, 1..4)[0].clone()), (1, 1..4));
        assert_eq!(groups(2, 4..4), []);
        assert_eq!(Strategy::CHECKPOINT.with_layer_group(2).layer_groups(0..2), [0..1, 1..2]);
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
