//! The decoder: burn's own layers, and a rotary embedding that turns the pairs that Llama's turns.

use std::error::Error;

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear, RmsNorm, RmsNormConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use safetensors::SafeTensors;

use crate::task::Sizes;

#[derive(Module, Debug)]
pub struct Decoder {
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
}

#[derive(Module, Debug)]
struct Layer {
    attention_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// What a forward pass needs besides the weights.
pub struct Setting {
    heads: usize,
    groups: usize,
    head_dim: usize,
    /// Cosines and sines of each position (1×1×T×E/2).
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Setting {
    pub fn new(sizes: &Sizes, length: usize, device: &Device) -> Setting {
        let half = sizes.head_dim / 2;
        let angle = |i: usize| (i / half) as f64 * sizes.rope_theta.powf(-((i % half) as f64) / half as f64);
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = (0..length * half).map(|i| function(angle(i)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, length, half]), device)
        };
        let (cos, sin) = (table(f64::cos), table(f64::sin));
        Setting { heads: sizes.num_attention_heads, groups: sizes.num_key_value_heads, head_dim: sizes.head_dim, cos, sin }
    }
}

impl Decoder {
    /// A decoder with the weights of a file.
    pub fn new(sizes: &Sizes, weights: &SafeTensors, device: &Device) -> Result<Decoder, Box<dyn Error>> {
        let read = Reader { weights, device, epsilon: sizes.rms_norm_eps };
        let layers: Result<Vec<Layer>, _> = (0..sizes.num_hidden_layers).map(|layer| Layer::new(&read, layer)).collect();
        Ok(Decoder { embedding: Embedding { weight: read.matrix("embed_tokens")? }, layers: layers?, norm: read.norm("norm")? })
    }

    /// Logits (T×V) of token ids (1×T).
    pub fn forward(&self, ids: Tensor<2, Int>, setting: &Setting) -> Tensor<2> {
        let mut hidden = self.embedding.forward(ids);
        for layer in &self.layers {
            hidden = layer.forward(hidden, setting);
        }
        let [_, length, width] = hidden.dims();
        let hidden = self.norm.forward(hidden).reshape([length, width]);
        hidden.matmul(self.embedding.weight.val().transpose())
    }
}

impl Layer {
    fn new(read: &Reader, layer: usize) -> Result<Layer, Box<dyn Error>> {
        let name = |part: &str| format!("layers.{layer}.{part}");
        Ok(Layer {
            attention_norm: read.norm(&name("input_layernorm"))?,
            query: read.linear(&name("self_attn.q_proj"))?,
            key: read.linear(&name("self_attn.k_proj"))?,
            value: read.linear(&name("self_attn.v_proj"))?,
            output: read.linear(&name("self_attn.o_proj"))?,
            mlp_norm: read.norm(&name("post_attention_layernorm"))?,
            gate: read.linear(&name("mlp.gate_proj"))?,
            up: read.linear(&name("mlp.up_proj"))?,
            down: read.linear(&name("mlp.down_proj"))?,
        })
    }

    fn forward(&self, hidden: Tensor<3>, setting: &Setting) -> Tensor<3> {
        let middle = hidden.clone() + self.attend(self.attention_norm.forward(hidden), setting);
        let x = self.mlp_norm.forward(middle.clone());
        middle + self.down.forward(activation::silu(self.gate.forward(x.clone())) * self.up.forward(x))
    }

    fn attend(&self, x: Tensor<3>, setting: &Setting) -> Tensor<3> {
        let [_, length, _] = x.dims();
        let heads = |x: Tensor<3>, count: usize| x.reshape([1, length, count, setting.head_dim]).swap_dims(1, 2);
        let query = rotate(heads(self.query.forward(x.clone()), setting.heads), setting);
        let key = rotate(heads(self.key.forward(x.clone()), setting.groups), setting);
        let value = heads(self.value.forward(x), setting.groups);
        // Its attention wants a key and a value for every query head.
        let sharing = setting.heads / setting.groups;
        let spread = |x: Tensor<4>| {
            let wide = x.reshape([setting.groups, 1, length, setting.head_dim]).repeat_dim(1, sharing);
            wide.reshape([1, setting.heads, length, setting.head_dim])
        };
        let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
        let mixed = attention(query, spread(key), spread(value), None, None, options);
        self.output.forward(mixed.swap_dims(1, 2).reshape([1, length, setting.heads * setting.head_dim]))
    }
}

fn rotate(x: Tensor<4>, setting: &Setting) -> Tensor<4> {
    let half = setting.head_dim / 2;
    let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let (cos, sin) = (setting.cos.clone(), setting.sin.clone());
    let turned = first.clone() * cos.clone() - second.clone() * sin.clone();
    Tensor::cat(vec![turned, second * cos + first * sin], 3)
}

/// Reads parameters from the file.
struct Reader<'a> {
    weights: &'a SafeTensors<'a>,
    device: &'a Device,
    epsilon: f64,
}

impl Reader<'_> {
    fn tensor<const D: usize>(&self, name: &str) -> Result<Tensor<D>, Box<dyn Error>> {
        let view = self.weights.tensor(&format!("model.{name}.weight"))?;
        let values: Vec<f32> = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Ok(Tensor::from_data(TensorData::new(values, view.shape().to_vec()), self.device))
    }

    fn matrix(&self, name: &str) -> Result<Param<Tensor<2>>, Box<dyn Error>> {
        Ok(Param::from_tensor(self.tensor(name)?))
    }

    /// Its layers have the columns of a file as rows. They are laid out anew, so that nothing is strided.
    fn linear(&self, name: &str) -> Result<Linear, Box<dyn Error>> {
        let transposed = self.tensor::<2>(name)?.transpose().into_data();
        Ok(Linear { weight: Param::from_tensor(Tensor::from_data(transposed, self.device)), bias: None })
    }

    fn norm(&self, name: &str) -> Result<RmsNorm, Box<dyn Error>> {
        let gamma = self.tensor::<1>(name)?;
        let norm = RmsNormConfig::new(gamma.dims()[0]).with_epsilon(self.epsilon).init(self.device);
        Ok(RmsNorm { gamma: Param::from_tensor(gamma), ..norm })
    }
}
