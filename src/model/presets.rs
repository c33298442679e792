//! Preset models with byte vocabularies, small enough that activations of long sequences outweigh the weights.

use super::{Config, ModelType, Rope};

/// A named model.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The name, for `--model`.
    pub name: &'static str,
    /// A one-line description.
    pub about: &'static str,
    /// Its configuration.
    pub config: Config,
}

/// All presets, the smallest first. The first is the default.
pub const PRESETS: &[Preset] = &[
    preset("tiny", "0.8 M parameters, 4 layers: learns while you watch", [128, 384, 4, 4, 2, 32]),
    preset("small", "4.8 M parameters, 6 layers", [256, 768, 6, 8, 4, 32]),
    preset("medium", "9.9 M parameters, 8 layers", [320, 960, 8, 10, 5, 32]),
    preset("large", "25 M parameters, 8 layers: wants a GPU", [512, 1536, 8, 8, 4, 64]),
];

const fn preset(name: &'static str, about: &'static str, sizes: [u32; 6]) -> Preset {
    let mut config = Config::llama(sizes);
    config.tie_word_embeddings = true;
    Preset { name, about, config }
}

/// Models of the StreamBP paper, to plan a step of them rather than to train them here.
pub const PUBLISHED: &[Preset] = &[
    qwen3("Qwen3 4B", "4.0 B parameters, 36 layers", [2560, 9728, 36, 32], true),
    qwen3("Qwen3 8B", "8.2 B parameters, 36 layers", [4096, 12_288, 36, 32], false),
    qwen3("Qwen3 14B", "14.8 B parameters, 40 layers", [5120, 17_408, 40, 40], false),
    qwen3("Qwen3 32B", "32.8 B parameters, 64 layers", [5120, 25_600, 64, 64], false),
];

const fn qwen3(name: &'static str, about: &'static str, sizes: [u32; 4], tie_word_embeddings: bool) -> Preset {
    let [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads] = sizes;
    let mut config = Config::llama([hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, 8, 128]);
    config.model_type = ModelType::Qwen3;
    config.vocab_size = 151_936;
    config.rope = Rope::plain(1e6);
    config.local_rope = config.rope;
    config.tie_word_embeddings = tie_word_embeddings;
    config.max_position_embeddings = 40_960;
    Preset { name, about, config }
}

impl Preset {
    /// The preset of that name.
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }
}
