//! What sets the families of decoders apart. Everything else about them is the same, and is written once in `step`.

/// A family, by the `model_type` of its `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ModelType {
    /// Llama 1 to 3.2, SmolLM2, and others with their architecture.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Qwen 2 and 2.5: Llama with biases of queries, keys and values.
    Qwen2,
    /// Qwen 3: Llama with normed queries and keys.
    Qwen3,
    /// Gemma 3, the text model.
    Gemma3Text,
}

/// Has a projection a bias?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// In no model of the family.
    Never,
    /// In every model of the family.
    Always,
    /// As that field of `config.json` says.
    Field(&'static str),
}

/// Which layers see no more than a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// None.
    Never,
    /// All, if there is a `sliding_window`.
    All,
    /// Those from `max_window_layers` on, if `use_sliding_window` says so; or as `layer_types` lists them.
    Upper,
    /// All but every `sliding_window_pattern`-th; or as `layer_types` lists them.
    Pattern,
}

/// What sets a family apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// Which one.
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
    /// Is every head of queries and keys normed before it is turned?
    pub qk_norm: bool,
    /// Is what attention and MLP yield normed before it is added to the residual stream?
    pub norms_outputs: bool,
    /// Do norms multiply by `1 + weight`?
    pub norms_add_one: bool,
    /// Is the embedding multiplied by √hidden_size?
    pub scales_embedding: bool,
    /// Has it `query_pre_attn_scalar` and the fields of soft-caps? In other families they mean nothing.
    pub caps_scores: bool,
    /// The field that names the activation.
    pub activation_field: &'static str,
    /// The activation where the field is missing.
    pub activation: &'static str,
    /// Which layers see no more than a window.
    pub windows: Windows,
    /// Is the head tied to the embedding where `tie_word_embeddings` is missing?
    pub ties_embeddings: bool,
    /// `head_dim` where it is missing; `None` is hidden_size / num_attention_heads.
    pub head_dim: Option<u32>,
    /// `rope_theta` where it is missing.
    pub rope_theta: f64,
    /// The base of layers with a window where it is missing, if they have one of their own.
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

/// Every family.
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
    /// What sets it apart.
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_types_place_in_the_list_is_its_number() {
        assert!(FAMILIES.iter().all(|family| family.model_type.family() == family));
    }
}
