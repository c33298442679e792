//! What a layer may keep from its forward pass beside its input, so that its backward pass need not compute it again.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::Projection;

/// Tensors of a layer that are kept, or computed again, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keep {
    /// The attention's output with its log-sum-exp (H·E + 2·H).
    Attention,
    /// Keys and values (2·K·E).
    KeysValues,
    /// Queries (H·E).
    Queries,
    /// The residual stream between attention and MLP (D), and what the attention yields before its norm, if that is normed.
    Middle,
    /// What the MLP multiplies (2·F).
    GateUp,
    /// The product (F).
    Mlp,
    /// What the MLP yields before its norm, if that is normed (D).
    Output,
    /// The norms of the layer's input and of the MLP's (2·D), and the embedding of the token ids in the first layer.
    Norms,
}

impl Keep {
    /// All of them.
    pub const ALL: [Keep; 8] =
        [Keep::Attention, Keep::KeysValues, Keep::Queries, Keep::Middle, Keep::GateUp, Keep::Mlp, Keep::Output, Keep::Norms];

    /// The name in the terminal, in JSON and in links.
    pub fn name(self) -> &'static str {
        match self {
            Keep::Attention => "attention",
            Keep::KeysValues => "keys_values",
            Keep::Queries => "queries",
            Keep::Middle => "middle",
            Keep::GateUp => "gate_up",
            Keep::Mlp => "mlp",
            Keep::Output => "output",
            Keep::Norms => "norms",
        }
    }

    /// That to which what a projection yields belongs.
    pub(super) fn of(projection: Projection) -> Keep {
        match projection {
            Projection::Query => Keep::Queries,
            Projection::Key | Projection::Value => Keep::KeysValues,
            Projection::Output => Keep::Middle,
            Projection::Gate | Projection::Up => Keep::GateUp,
            Projection::Down => Keep::Output,
        }
    }
}

/// In how many of the last layers each is kept: what they keep lives shortest. It is written as `attention,keys_values:4`:
/// without a number in all layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeepSet([u32; Keep::ALL.len()]);

impl KeepSet {
    /// Nothing.
    pub const NONE: KeepSet = KeepSet([0; Keep::ALL.len()]);
    /// Everything, in every layer.
    pub const ALL: KeepSet = KeepSet([u32::MAX; Keep::ALL.len()]);

    /// In how many of the last layers it is kept.
    pub fn layers(&self, keep: Keep) -> u32 {
        self.0[keep as usize]
    }

    /// The same with that kept in so many of the last layers.
    pub fn with(mut self, keep: Keep, layers: u32) -> KeepSet {
        self.0[keep as usize] = layers;
        self
    }
}

impl fmt::Display for KeepSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = Keep::ALL.into_iter().map(|keep| (keep, self.layers(keep))).filter(|&(_, layers)| layers > 0);
        let words = kept.map(|(keep, layers)| match layers {
            u32::MAX => keep.name().to_owned(),
            _ => format!("{}:{layers}", keep.name()),
        });
        f.write_str(&words.collect::<Vec<String>>().join(","))
    }
}

impl FromStr for KeepSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut set = KeepSet::NONE;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, layers) = match word.split_once(':') {
                Some((name, count)) => (name, count.parse().ok()),
                None => (word, Some(u32::MAX)),
            };
            match (Keep::ALL.into_iter().find(|keep| keep.name() == name), layers) {
                (Some(keep), Some(layers)) => set = set.with(keep, layers),
                (None, Some(u32::MAX)) if name == "all" => set = KeepSet::ALL,
                _ => {
                    let names = Keep::ALL.map(Keep::name).join(", ");
                    return Err(Error::Setting(format!(
                        "\"{word}\" cannot be kept; there are {names} and all, with :4 behind a name for the last four layers"
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
        let some = KeepSet::NONE.with(Keep::Attention, u32::MAX).with(Keep::GateUp, 3);
        assert_eq!(some.to_string(), "attention,gate_up:3");
        for set in [KeepSet::NONE, KeepSet::ALL, some] {
            assert_eq!(set.to_string().parse::<KeepSet>().unwrap(), set);
        }
        assert_eq!("all".parse::<KeepSet>().unwrap(), KeepSet::ALL);
        for wrong in ["attentoin", "mlp:", "mlp:x", "all:2"] {
            assert!(wrong.parse::<KeepSet>().unwrap_err().to_string().contains("keys_values"), "{wrong}");
        }
    }

    #[test]
    fn a_thing_to_keep_has_its_place_in_the_list_as_its_number() {
        assert!(Keep::ALL.iter().enumerate().all(|(i, &keep)| keep as usize == i));
    }
}
