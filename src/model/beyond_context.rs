//! Sequences that are longer than a model was made for.

use std::fmt;

use serde_json::json;

use super::rope_json::{FULL, whole};
use super::{Config, RopeScaling};

/// A sequence length beyond what a model was made for, and the setting in its `config.json` that extends the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeyondContext {
    /// The sequence length in tokens.
    pub seq_len: u32,
    /// How many positions the model was made for.
    pub positions: u64,
    /// The field to set.
    pub field: String,
    /// Its value, as JSON.
    pub setting: String,
}

impl Config {
    /// `Some` if sequences of that length are longer than the model was made for.
    pub fn beyond_context(&self, seq_len: u32) -> Option<BeyondContext> {
        let (longest, length) = (f64::from(self.max_position_embeddings), f64::from(seq_len));
        let (original, positions) = match self.rope.scaling {
            RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Dynamic { .. } => (longest, longest * self.rope.factor()),
            RopeScaling::Llama3 { original_max_position_embeddings: original, .. }
            | RopeScaling::Yarn { original_max_position_embeddings: original, .. } => {
                (original, longest.max(original * self.rope.factor()))
            }
        };
        let setting = json!({
            "rope_type": "yarn",
            "rope_theta": self.rope.theta,
            "factor": (length / original).ceil(),
            "original_max_position_embeddings": whole(original),
        });
        let field = if self.family().has_local_rope { format!("rope_parameters.{FULL}") } else { "rope_parameters".to_owned() };
        (length > positions).then(|| BeyondContext { seq_len, positions: positions as u64, field, setting: setting.to_string() })
    }
}

impl fmt::Display for BeyondContext {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BeyondContext { seq_len, positions, field, setting } = self;
        write!(
            out,
            "a sequence length of {seq_len} is more than the {positions} positions that the model was made for; to extend it, set {field} in \
             config.json to {setting}"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::model::{ModelType, PRESETS};

    #[test]
    fn the_setting_makes_the_model_long_enough() {
        let config = Config { max_position_embeddings: 64, ..PRESETS[0].config.clone() };
        assert_eq!(config.beyond_context(64), None);
        let beyond = config.beyond_context(200).unwrap();
        assert!(beyond.to_string().contains("more than the 64 positions"), "{beyond}");
        assert_eq!(beyond.field, "rope_parameters");
        let mut file: Value = serde_json::from_str(&config.to_json()).unwrap();
        file[&beyond.field] = serde_json::from_str(&beyond.setting).unwrap();
        let extended = Config::from_json(&file.to_string()).unwrap();
        assert_eq!((extended.beyond_context(200), extended.beyond_context(256)), (None, None));
        assert_eq!(extended.beyond_context(257).unwrap().positions, 256);
    }

    #[test]
    fn of_gemma_only_layers_with_full_attention_are_extended() {
        let gemma = Config { model_type: ModelType::Gemma3Text, max_position_embeddings: 64, ..PRESETS[0].config.clone() };
        assert_eq!(gemma.beyond_context(65).unwrap().field, "rope_parameters.full_attention");
    }
}
