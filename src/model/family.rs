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
    /// All, if there is a `sliding_window`.
    All,
    /// Those from `max_window_layers` on, if `use_sliding_window` is true; or those of `layer_types`.
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
    /// The default of `tie_word_embeddings`.
    pub ties_embeddings: bool,
    /// The default of `head_dim`; `None` is hidden_size / num_attention_heads.
    pub head_dim: Option<u32>,
    /// The default of `rope_theta`.
    pub rope_theta: f64,
    /// The default of `rope_local_base_freq`, if layers with a sliding window have their own rotary embedding.
    pub local_rope_theta: Option<f64>,
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
    ties_embeddings: false,
    head_dim: None,
    rope_theta: 1e4,
    local_rope_theta: None,
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
        ..LLAMA
    },
    Family {
        model_type: ModelType::Qwen3,
        name: "qwen3",
        architecture: "Qwen3ForCausalLM",
        mlp_bias: Bias::Never,
        qk_norm: true,
        windows: Windows::Upper,
        head_dim: Some(128),
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
        ties_embeddings: true,
        head_dim: Some(256),
        rope_theta: 1e6,
        local_rope_theta: Some(1e4),
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
