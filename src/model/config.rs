//! The configuration of a decoder.

use super::{Family, ModelType, Rope, RopeScaling};
use crate::error::{Error, Result};

/// The configuration of a decoder. Fields have the names of a Hugging Face `config.json` where it has them.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// Its family.
    pub model_type: ModelType,
    /// D: the width of the residual stream.
    pub hidden_size: u32,
    /// F: the width of the MLP.
    pub intermediate_size: u32,
    /// L: the number of decoder layers.
    pub num_hidden_layers: u32,
    /// H: the number of query heads.
    pub num_attention_heads: u32,
    /// K: the number of key/value heads; a divisor of H.
    pub num_key_value_heads: u32,
    /// E: the width of a head; even, since the rotary embedding rotates pairs of columns.
    pub head_dim: u32,
    /// V: the size of the vocabulary.
    pub vocab_size: u32,
    /// ε of every RMSNorm, under the square root.
    pub rms_norm_eps: f64,
    /// The activation of the gate.
    pub hidden_act: Activation,
    /// The rotary embedding of layers with full attention.
    pub rope: Rope,
    /// The rotary embedding of layers with a sliding window.
    pub local_rope: Rope,
    /// The sliding window in tokens, the query included.
    pub sliding_window: u32,
    /// Which layers have a sliding window. Layers beyond the list have full attention.
    pub sliding_layers: Vec<bool>,
    /// Scores are divided by its square root; 0 stands for head_dim.
    pub query_pre_attn_scalar: f64,
    /// The soft cap of logits: `cap · tanh(logit / cap)`.
    pub final_logit_softcapping: Option<f64>,
    /// Do `q_proj`, `k_proj` and `v_proj` have biases?
    pub qkv_bias: bool,
    /// Does `o_proj` have a bias?
    pub output_bias: bool,
    /// Do `gate_proj`, `up_proj` and `down_proj` have biases?
    pub mlp_bias: bool,
    /// Does the LM head share the weights of the token embedding?
    pub tie_word_embeddings: bool,
    /// The longest sequence that the model was designed for, in tokens. Recorded, not enforced.
    pub max_position_embeddings: u32,
    /// The token whose row of the embedding no look-up trains: PyTorch's `padding_idx`. A tied head trains it all the same.
    #[serde(default)]
    pub pad_token_id: Option<u32>,
}

/// The activation of the MLP's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Activation {
    /// `x · σ(x)`.
    Silu,
    /// GELU in the tanh approximation.
    GeluTanh,
}

impl Config {
    /// A Llama decoder with the byte vocabulary. `sizes` are D, F, L, H, K and E.
    pub const fn llama(sizes: [u32; 6]) -> Config {
        let [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim] = sizes;
        Config {
            model_type: ModelType::Llama,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            vocab_size: 256,
            rms_norm_eps: 1e-6,
            hidden_act: Activation::Silu,
            rope: Rope::plain(1e4),
            local_rope: Rope::plain(1e4),
            sliding_window: 0,
            sliding_layers: Vec::new(),
            query_pre_attn_scalar: 0.0,
            final_logit_softcapping: None,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            tie_word_embeddings: false,
            max_position_embeddings: 65_536,
            pad_token_id: None,
        }
    }

    /// The properties of its family.
    pub fn family(&self) -> &'static Family {
        self.model_type.family()
    }

    /// Query heads per key/value head: H / K.
    pub fn num_key_value_groups(&self) -> u32 {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// The sliding window of a layer in tokens, the query included. `None` for full attention.
    pub fn window(&self, layer: u32) -> Option<u32> {
        let slides = self.sliding_layers.get(layer as usize).copied().unwrap_or(false);
        slides.then_some(self.sliding_window)
    }

    /// The frequencies of a rotary embedding of the model in radians per position (E/2), for sequences of `seq_len` tokens.
    pub fn frequencies(&self, rope: Rope, seq_len: u32) -> Vec<f64> {
        rope.frequencies(self.head_dim, seq_len, self.max_position_embeddings)
    }

    /// The factor of attention scores: `1 / √query_pre_attn_scalar`.
    pub fn attention_scale(&self) -> f64 {
        1.0 / self.attention_scalar().sqrt()
    }

    /// Scores are divided by its square root.
    pub(super) fn attention_scalar(&self) -> f64 {
        if self.query_pre_attn_scalar > 0.0 { self.query_pre_attn_scalar } else { f64::from(self.head_dim) }
    }

    /// The factor of the embedding: √D for Gemma, otherwise 1.
    pub fn embedding_scale(&self) -> f64 {
        if self.family().scales_embedding { f64::from(self.hidden_size).sqrt() } else { 1.0 }
    }

    /// Checks that the sizes define a valid model.
    ///
    /// # Errors
    /// [`Error::Config`] with the invalid field.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_HEADS),
            ("num_key_value_heads", self.num_key_value_heads, MAX_HEADS),
            ("head_dim", self.head_dim, MAX_HEAD_DIM),
            ("vocab_size", self.vocab_size, MAX_SIZE),
        ];
        for (field, value, most) in sizes {
            if value == 0 || value > most {
                return Err(Error::config(field, format!("is {value}, and must lie between 1 and {most}")));
            }
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::config("head_dim", format!("is {}, and must be even: rotary embedding rotates pairs", self.head_dim)));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(Error::config(
                "num_key_value_heads",
                format!("is {}, and must divide num_attention_heads, which is {}", self.num_key_value_heads, self.num_attention_heads),
            ));
        }
        self.validate_attention()
    }

    fn validate_attention(&self) -> Result<()> {
        if self.sliding_layers.contains(&true) && self.sliding_window == 0 {
            return Err(Error::config("sliding_window", "is 0 or missing, and some layers have a window; it must be 1 or more"));
        }
        if self.sliding_layers.len() > self.num_hidden_layers as usize {
            let (listed, layers) = (self.sliding_layers.len(), self.num_hidden_layers);
            return Err(Error::config("layer_types", format!("lists {listed} layers, and num_hidden_layers is {layers}")));
        }
        let mut positive = vec![("rms_norm_eps", self.rms_norm_eps)];
        for rope in [self.rope, self.local_rope] {
            positive.extend(rope.positive_numbers());
            if matches!(rope.scaling, RopeScaling::Dynamic { .. }) {
                positive.push(("head_dim less 2, which dynamic RoPE divides by,", f64::from(self.head_dim) - 2.0));
                positive.push(("max_position_embeddings", f64::from(self.max_position_embeddings)));
            }
        }
        positive.extend(self.final_logit_softcapping.map(|cap| ("final_logit_softcapping", cap)));
        match positive.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            Some((field, value)) => Err(Error::config(field, format!("is {value}, and must be positive"))),
            None if !(self.query_pre_attn_scalar.is_finite() && self.query_pre_attn_scalar >= 0.0) => {
                Err(Error::config("query_pre_attn_scalar", format!("is {}, and must be positive", self.query_pre_attn_scalar)))
            }
            None => Ok(()),
        }
    }
}

/// The largest size. Products of two sizes, and padded sizes, fit in 64 bits.
const MAX_SIZE: u32 = 1 << 24;
/// The most layers: more than any model has, and few enough that a program stays small.
const MAX_LAYERS: u32 = 1024;
/// The most heads: WebGPU's largest grid dimension.
const MAX_HEADS: u32 = 65_535;
/// The widest head: a thread of the attention kernels holds whole heads in registers.
const MAX_HEAD_DIM: u32 = 256;
