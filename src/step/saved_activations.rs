//! Saved activations: tensors that a layer may save in the forward pass, in addition to its input, so that the backward pass need not
//! recompute them.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::Projection;

/// A group of activations of a layer that are saved or recomputed together. In parentheses: elements per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SavedActivation {
    /// The output of the attention before its projection (H·E), with the log-sum-exp of each head and room for a backward sum (2·H).
    Attention,
    /// Keys and values (2·K·E); with QK norm also the keys before their norm (K·E) and `1 / rms` (K).
    KeysValues,
    /// Queries (H·E); with QK norm also the queries before their norm (H·E) and `1 / rms` (H).
    Queries,
    /// The post-attention residual (D); if the family norms the output of the attention, also that output before its norm (D) and `1 / rms`
    /// (1).
    PostAttention,
    /// Gate and up projections of the MLP (2·F).
    GateUp,
    /// `act(gate) · up`, the input of the down projection (F).
    Mlp,
    /// The output of the down projection before its norm (D) and `1 / rms` (1), if the family norms it.
    Output,
    /// The outputs of the layer's two input norms (2·D) with `1 / rms` (2); in the first layer also the embedding of the token ids (D).
    Norms,
}

impl SavedActivation {
    /// All groups.
    pub const ALL: [SavedActivation; 8] = [
        SavedActivation::Attention,
        SavedActivation::KeysValues,
        SavedActivation::Queries,
        SavedActivation::PostAttention,
        SavedActivation::GateUp,
        SavedActivation::Mlp,
        SavedActivation::Output,
        SavedActivation::Norms,
    ];

    /// The name on the command line, in JSON and in links.
    pub fn name(self) -> &'static str {
        match self {
            SavedActivation::Attention => "attention",
            SavedActivation::KeysValues => "keys_values",
            SavedActivation::Queries => "queries",
            SavedActivation::PostAttention => "post_attention",
            SavedActivation::GateUp => "gate_up",
            SavedActivation::Mlp => "mlp",
            SavedActivation::Output => "output",
            SavedActivation::Norms => "norms",
        }
    }

    /// The group of a projection's output, and of its LoRA A output.
    pub(super) fn of(projection: Projection) -> SavedActivation {
        match projection {
            Projection::Query => SavedActivation::Queries,
            Projection::Key | Projection::Value => SavedActivation::KeysValues,
            Projection::Output => SavedActivation::PostAttention,
            Projection::Gate | Projection::Up => SavedActivation::GateUp,
            Projection::Down => SavedActivation::Output,
        }
    }
}

/// For each group, the number of last layers that save it. The last layers come first in the backward pass, so what they save has the
/// shortest live range. As text: `attention,keys_values:4`; a name without a number means all layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SavedActivations([u32; SavedActivation::ALL.len()]);

impl SavedActivations {
    /// Nothing.
    pub const NONE: SavedActivations = SavedActivations([0; SavedActivation::ALL.len()]);
    /// Everything, in every layer.
    pub const ALL: SavedActivations = SavedActivations([u32::MAX; SavedActivation::ALL.len()]);

    /// The number of last layers that save the group.
    pub fn layers(&self, activation: SavedActivation) -> u32 {
        self.0[activation as usize]
    }

    /// The same with `activation` saved in the last `layers` layers.
    pub fn with(mut self, activation: SavedActivation, layers: u32) -> SavedActivations {
        self.0[activation as usize] = layers;
        self
    }
}

impl fmt::Display for SavedActivations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saved =
            SavedActivation::ALL.into_iter().map(|activation| (activation, self.layers(activation))).filter(|&(_, layers)| layers > 0);
        let words = saved.map(|(activation, layers)| match layers {
            u32::MAX => activation.name().to_owned(),
            _ => format!("{}:{layers}", activation.name()),
        });
        f.write_str(&words.collect::<Vec<String>>().join(","))
    }
}

impl FromStr for SavedActivations {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut set = SavedActivations::NONE;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, layers) = match word.split_once(':') {
                Some((name, count)) => (name, count.parse().ok()),
                None => (word, Some(u32::MAX)),
            };
            match (SavedActivation::ALL.into_iter().find(|activation| activation.name() == name), layers) {
                (Some(activation), Some(layers)) => set = set.with(activation, layers),
                (None, Some(u32::MAX)) if name == "all" => set = SavedActivations::ALL,
                _ => {
                    let names = SavedActivation::ALL.map(SavedActivation::name).join(", ");
                    return Err(Error::Setting(format!(
                        "\"{word}\" cannot be saved; there are {names} and all, with :4 after a name for the last four layers"
                    )));
                }
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let some = SavedActivations::NONE.with(SavedActivation::Attention, u32::MAX).with(SavedActivation::GateUp, 3);
        assert_eq!(some.to_string(), "attention,gate_up:3");
        for set in [SavedActivations::NONE, SavedActivations::ALL, some] {
            assert_eq!(set.to_string().parse::<SavedActivations>().unwrap(), set);
        }
        assert_eq!("all".parse::<SavedActivations>().unwrap(), SavedActivations::ALL);
        for wrong in ["attentoin", "mlp:", "mlp:x", "all:2"] {
            assert!(wrong.parse::<SavedActivations>().unwrap_err().to_string().contains("keys_values"), "{wrong}");
        }
    }

    #[test]
    fn an_activations_index_in_the_list_is_its_number() {
        assert!(SavedActivation::ALL.iter().enumerate().all(|(i, &activation)| activation as usize == i));
    }
}
