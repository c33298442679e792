//! What a layer may keep from its forward pass beside its input, so that its backward pass need not compute it again.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::Projection;

/// Tensors of a layer that are kept, or computed again, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SavedActivation {
    /// The attention's output with its log-sum-exp (H·E + 2·H).
    Attention,
    /// Keys and values (2·K·E).
    KeysValues,
    /// Queries (H·E).
    Queries,
    /// The residual stream between attention and MLP (D), and what the attention yields before its norm, if that is normed.
    PostAttention,
    /// What the MLP multiplies (2·F).
    GateUp,
    /// The product (F).
    Mlp,
    /// What the MLP yields before its norm, if that is normed (D).
    Output,
    /// The norms of the layer's input and of the MLP's (2·D), and the embedding of the token ids in the first layer.
    Norms,
}

impl SavedActivation {
    /// All of them.
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

    /// The name in the terminal, in JSON and in links.
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

    /// That to which what a projection yields belongs.
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

/// In how many of the last layers each is kept: what they keep lives shortest. It is written as `attention,keys_values:4`:
/// without a number in all layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SavedActivations([u32; SavedActivation::ALL.len()]);

impl SavedActivations {
    /// Nothing.
    pub const NONE: SavedActivations = SavedActivations([0; SavedActivation::ALL.len()]);
    /// Everything, in every layer.
    pub const ALL: SavedActivations = SavedActivations([u32::MAX; SavedActivation::ALL.len()]);

    /// In how many of the last layers it is kept.
    pub fn layers(&self, activation: SavedActivation) -> u32 {
        self.0[activation as usize]
    }

    /// The same with that kept in so many of the last layers.
    pub fn with(mut self, activation: SavedActivation, layers: u32) -> SavedActivations {
        self.0[activation as usize] = layers;
        self
    }
}

impl fmt::Display for SavedActivations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept =
            SavedActivation::ALL.into_iter().map(|activation| (activation, self.layers(activation))).filter(|&(_, layers)| layers > 0);
        let words = kept.map(|(activation, layers)| match layers {
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
                        "\"{word}\" cannot be saved; there are {names} and all, with :4 behind a name for the last four layers"
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
    fn a_thing_to_keep_has_its_place_in_the_list_as_its_number() {
        assert!(SavedActivation::ALL.iter().enumerate().all(|(i, &activation)| activation as usize == i));
    }
}
