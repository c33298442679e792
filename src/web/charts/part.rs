//! What bytes are for.

use crate::step::TensorKind;

/// What bytes are for, as pictures group it: few enough that each has a colour of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Parameters.
    Weights,
    /// Gradients of parameters.
    Gradients,
    /// AdamW's moments.
    Optimizer,
    /// The batch, and tables that kernels share.
    Tables,
    /// Inputs of layers, kept from the forward pass.
    LayerInputs,
    /// The hidden state and its gradient, in one place.
    Hidden,
    /// Keys, values and their gradients.
    KeysValues,
    /// Everything else inside a layer.
    Activations,
    /// Logits and their gradient, in one place.
    Logits,
}

/// Bytes of each part, in the order of [`Part::ALL`].
pub type Parts = [u64; Part::ALL.len()];

impl Part {
    /// All parts, in the order in which pictures stack them.
    pub const ALL: [Part; 9] = [
        Part::Weights,
        Part::Gradients,
        Part::Optimizer,
        Part::Tables,
        Part::LayerInputs,
        Part::Hidden,
        Part::KeysValues,
        Part::Activations,
        Part::Logits,
    ];

    /// The part that a kind belongs to.
    pub fn of(kind: TensorKind) -> Part {
        match kind {
            TensorKind::Weights => Part::Weights,
            TensorKind::Gradients => Part::Gradients,
            TensorKind::Optimizer => Part::Optimizer,
            TensorKind::Batch | TensorKind::Scratch => Part::Tables,
            TensorKind::LayerInputs => Part::LayerInputs,
            TensorKind::HiddenGradient => Part::Hidden,
            TensorKind::KeysValues | TensorKind::KeysValuesGradients => Part::KeysValues,
            TensorKind::Activations => Part::Activations,
            TensorKind::Logits => Part::Logits,
        }
    }

    /// Bytes by kind, summed by part.
    pub fn sums(kinds: &[u64; TensorKind::ALL.len()]) -> Parts {
        let mut parts = [0; Part::ALL.len()];
        for (kind, bytes) in TensorKind::ALL.into_iter().zip(kinds) {
            parts[Part::of(kind) as usize] += bytes;
        }
        parts
    }

    /// Does it take the same whatever the length of the sequence?
    pub fn is_the_models(self) -> bool {
        matches!(self, Part::Weights | Part::Gradients | Part::Optimizer)
    }

    /// The name of its colour in the style sheet, and its key in the files of texts.
    pub fn name(self) -> &'static str {
        match self {
            Part::Weights => "weights",
            Part::Gradients => "gradients",
            Part::Optimizer => "optimizer",
            Part::Tables => "tables",
            Part::LayerInputs => "layer-inputs",
            Part::Hidden => "hidden",
            Part::KeysValues => "keys-values",
            Part::Activations => "activations",
            Part::Logits => "logits",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_place_in_the_list_is_its_number() {
        assert!(Part::ALL.iter().enumerate().all(|(i, &part)| part as usize == i));
    }
}
