//! Families of decoders: the properties in which they differ. Everything else is the same, and implemented once in `step`. Source: the
//! implementations in Hugging Face's `transformers`.

/// A family, named by the `model_type` of its `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ModelType {
    /// Llama 1 to 3.2, SmolLM2, and others with their architecture.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Qwen 2 and 2.5: Llama with biases of queries, keys and values.
    Qwen2,
    /// Qwen 3: Llama with QK norm.
    Qwen3,
    /// Gemma 3, the text model.
    Gemma3Text,
}

/// Whether a projection has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// In no model of the family.
    Never,
    /// In every model of the family.
    Always,
    /// As given by that field of `config.json`.
    Field(&'static str),
}

/// Which layers have a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// None.
    Never,
    /// All, if there is a `sliding_window`; or those of `layer_types`.
    All,
    /// If `use_sliding_window` is true, those from `max_window_layers` on, or those of `layer_types`.
    Upper,
    /// All but every `sliding_window_pattern`-th; or those of `layer_types`.
    Pattern,
}

/// The properties of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// The family.
    pub model_type: ModelType,
    /// Its `model_type`.
    pub name: &'static str,
    /// Its entry in `architectures`.
    pub architecture: &'static str,
    /// Biases of `q_proj`, `k_proj` and `v_proj`.
    pub qkv_bias: Bias,
    /// The bias of `o_proj`.
    pub output_bias: Bias,
    /// Biases of `gate_proj`, `up_proj` and `down_proj`.
    pub mlp_bias: Bias,
    /// Does it have QK norm: an RMSNorm of each head of queries and keys, before the rotary embedding?
    pub qk_norm: bool,
    /// Are the outputs of attention and MLP normed before they are added to the residual stream?
    pub norms_outputs: bool,
    /// Do norms multiply by `1 + weight`?
    pub norms_add_one: bool,
    /// Is the embedding multiplied by √hidden_size?
    pub scales_embedding: bool,
    /// Does it have `query_pre_attn_scalar` and `final_logit_softcapping`? Other families ignore these fields.
    pub caps_scores: bool,
    /// The field of the activation.
    pub activation_field: &'static str,
    /// The default activation.
    pub activation: &'static str,
    /// Which layers have a sliding window.
    pub windows: Windows,
    /// Do layers with a sliding window have their own rotary embedding?
    pub has_local_rope: bool,
    /// What a `config.json` means that lacks a field.
    pub defaults: Defaults,
}

/// The defaults of a family's class in `transformers`. `tests/fixtures/configs.py` holds the program against them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// `vocab_size`.
    pub vocab_size: u32,
    /// `hidden_size`.
    pub hidden_size: u32,
    /// `intermediate_size`.
    pub intermediate_size: u32,
    /// `num_hidden_layers`.
    pub num_hidden_layers: u32,
    /// `num_attention_heads`.
    pub num_attention_heads: u32,
    /// `num_key_value_heads`; `None` is num_attention_heads.
    pub num_key_value_heads: Option<u32>,
    /// `head_dim`; `None` is hidden_size / num_attention_heads.
    pub head_dim: Option<u32>,
    /// `max_position_embeddings`.
    pub max_position_embeddings: u32,
    /// `sliding_window`.
    pub sliding_window: u32,
    /// `rope_theta`.
    pub rope_theta: f64,
    /// `rope_local_base_freq`, where the family has it.
    pub local_rope_theta: f64,
    /// `query_pre_attn_scalar`, where the family has it.
    pub query_pre_attn_scalar: f64,
    /// `tie_word_embeddings`.
    pub tie_word_embeddings: bool,
    /// `pad_token_id`.
    pub pad_token_id: Option<u32>,
}

const LLAMA: Family = Family {
    model_type: ModelType::Llama,
    name: "llama",
    architecture: "LlamaForCausalLM",
    qkv_bias: Bias::Field("attention_bias"),
    output_bias: Bias::Field("attention_bias"),
    mlp_bias: Bias::Field("mlp_bias"),
    qk_norm: false,
    norms_outputs: false,
    norms_add_one: false,
    scales_embedding: false,
    caps_scores: false,
    activation_field: "hidden_act",
    activation: "silu",
    windows: Windows::Never,
    has_local_rope: false,
    defaults: Defaults {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
        sliding_window: 4096,
        rope_theta: 1e4,
        local_rope_theta: 1e4,
        query_pre_attn_scalar: 256.0,
        tie_word_embeddings: false,
        pad_token_id: None,
    },
};

const QWEN_DEFAULTS: Defaults = Defaults {
    vocab_size: 151_936,
    intermediate_size: 22_016,
    num_key_value_heads: Some(32),
    max_position_embeddings: 32_768,
    ..LLAMA.defaults
};

/// All families, in the order of [`ModelType`].
pub const FAMILIES: &[Family] = &[
    LLAMA,
    Family {
        model_type: ModelType::Mistral,
        name: "mistral",
        architecture: "MistralForCausalLM",
        qkv_bias: Bias::Never,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        windows: Windows::All,
        defaults: Defaults { intermediate_size: 14_336, num_key_value_heads: Some(8), max_position_embeddings: 131_072, ..LLAMA.defaults },
        ..LLAMA
    },
    Family {
        model_type: ModelType::Qwen2,
        name: "qwen2",
        architecture: "Qwen2ForCausalLM",
        qkv_bias: Bias::Always,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        windows: Windows::Upper,
        defaults: QWEN_DEFAULTS,
        ..LLAMA
    },
    Family {
        model_type: ModelType::Qwen3,
        name: "qwen3",
        architecture: "Qwen3ForCausalLM",
        mlp_bias: Bias::Never,
        qk_norm: true,
        windows: Windows::Upper,
        defaults: Defaults { head_dim: Some(128), ..QWEN_DEFAULTS },
        ..LLAMA
    },
    Family {
        model_type: ModelType::Gemma3Text,
        name: "gemma3_text",
        architecture: "Gemma3ForCausalLM",
        mlp_bias: Bias::Never,
        qk_norm: true,
        norms_outputs: true,
        norms_add_one: true,
        scales_embedding: true,
        caps_scores: true,
        activation_field: "hidden_activation",
        activation: "gelu_pytorch_tanh",
        windows: Windows::Pattern,
        has_local_rope: true,
        defaults: Defaults {
            vocab_size: 262_208,
            hidden_size: 2304,
            intermediate_size: 9216,
            num_hidden_layers: 26,
            num_attention_heads: 8,
            num_key_value_heads: Some(4),
            head_dim: Some(256),
            max_position_embeddings: 131_072,
            rope_theta: 1e6,
            tie_word_embeddings: true,
            pad_token_id: Some(0),
            ..LLAMA.defaults
        },
        ..LLAMA
    },
];

impl ModelType {
    /// The properties of the family.
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_types_index_in_the_list_is_its_number() {
        assert!(FAMILIES.iter().all(|family| family.model_type.family() == family));
    }
}
