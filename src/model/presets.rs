//! Models to start from: byte vocabularies, and sequences long enough that activations outweigh weights.

use super::Config;

/// A model with a name.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The name, as `--model` takes it.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Its sizes.
    pub config: Config,
}

/// Every preset, smallest first. The first is the default.
pub const PRESETS: &[Preset] = &[
    preset("tiny", "0.8 M parameters, 4 layers: learns while you watch", [128, 384, 4, 4, 2, 32]),
    preset("small", "4.8 M parameters, 6 layers", [256, 768, 6, 8, 4, 32]),
    preset("medium", "9.9 M parameters, 8 layers", [320, 960, 8, 10, 5, 32]),
    preset("large", "25 M parameters, 8 layers: wants a GPU", [512, 1536, 8, 8, 4, 64]),
];

const fn preset(name: &'static str, about: &'static str, sizes: [u32; 6]) -> Preset {
    let [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim] = sizes;
    Preset {
        name,
        about,
        config: Config {
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            vocab_size: 256,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            max_position_embeddings: 65_536,
        },
    }
}

/// Models of the paper, to be planned rather than trained here: what a step of theirs takes in f32 with AdamW. The norms of
/// their queries and keys, a few thousand numbers a layer, are left out.
pub const PUBLISHED: &[Preset] = &[
    qwen3("Qwen3 4B", "4.0 B parameters, 36 layers", [2560, 9728, 36, 32], true),
    qwen3("Qwen3 8B", "8.2 B parameters, 36 layers", [4096, 12_288, 36, 32], false),
    qwen3("Qwen3 14B", "14.8 B parameters, 40 layers", [5120, 17_408, 40, 40], false),
    qwen3("Qwen3 32B", "32.8 B parameters, 64 layers", [5120, 25_600, 64, 64], false),
];

const fn qwen3(name: &'static str, about: &'static str, sizes: [u32; 4], tie_word_embeddings: bool) -> Preset {
    let [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads] = sizes;
    Preset {
        name,
        about,
        config: Config {
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: 8,
            head_dim: 128,
            vocab_size: 151_936,
            rms_norm_eps: 1e-6,
            rope_theta: 1e6,
            tie_word_embeddings,
            max_position_embeddings: 40_960,
        },
    }
}

impl Preset {
    /// The preset of that name.
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }
}
