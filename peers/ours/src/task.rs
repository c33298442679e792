//! What every contestant trains: a model, its first weights, a text, and AdamW's settings.

use serde_json::{Value, json};
use streambp::error::Result;
use streambp::model::{Config, ModelSpec, Parameters, Preset, RandomInit, TensorNames, Weights};
use streambp::step::Batch;
use streambp::step::update::AdamWParams;
use streambp::train::Dataset;

/// What the weights and the text are drawn from.
const SEED: u64 = 0;
/// Tokens of the longest sequence that anybody may be asked for.
const LONGEST: u32 = 32_768;
const LEARNING_RATE: f32 = 1e-3;
const BETAS: [f32; 2] = [0.9, 0.95];
const EPSILON: f32 = 1e-8;
const WEIGHT_DECAY: f32 = 0.1;
/// So large that no gradient is clipped: not every contestant clips by the norm of all gradients together.
const MAX_GRAD_NORM: f32 = 1e9;

/// The decoder and its text.
pub struct Task {
    spec: ModelSpec,
    text: Vec<u32>,
}

impl Task {
    /// The preset `tiny` and the project's shaders, from their start on and again from there.
    ///
    /// # Errors
    /// If the project had no text of its own.
    pub fn new() -> Result<Task> {
        let preset = Preset::named("tiny").expect("the smallest preset");
        let batch = Dataset::own(1 << 12)?.batch(SEED, 0, 1);
        let text = batch.input_ids.iter().cycle().take(LONGEST as usize + 1).copied().collect();
        Ok(Task { spec: ModelSpec::from(&preset.config), text })
    }

    /// The model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Its first weights.
    pub fn values(&self) -> RandomInit {
        RandomInit { seed: SEED }
    }

    /// The first tokens of the text (T), each with the one behind it as its label.
    ///
    /// # Panics
    /// If more are wanted than there are.
    pub fn batch(&self, length: u32) -> Batch {
        let length = length as usize;
        Batch::new(vec![(self.text[..length].to_vec(), self.text[1..=length].to_vec())])
    }

    /// AdamW's settings at a step, counted from 1.
    pub fn settings(&self, step: i32) -> AdamWParams {
        let [beta1, beta2] = BETAS;
        let correction = |beta: f32| (1.0 - f64::from(beta).powi(step)) as f32;
        AdamWParams {
            learning_rate: LEARNING_RATE,
            beta1,
            beta2,
            epsilon: EPSILON,
            weight_decay: WEIGHT_DECAY,
            max_grad_norm: MAX_GRAD_NORM,
            bias_correction1: correction(beta1),
            bias_correction2: correction(beta2),
        }
    }

    /// Sizes and settings for those who are not written in Rust.
    pub fn to_json(&self) -> Value {
        let Config { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, .. } = self.spec.config;
        let Config { head_dim, vocab_size, rms_norm_eps, rope, .. } = self.spec.config;
        json!({
            "hidden_size": hidden_size,
            "intermediate_size": intermediate_size,
            "num_hidden_layers": num_hidden_layers,
            "num_attention_heads": num_attention_heads,
            "num_key_value_heads": num_key_value_heads,
            "head_dim": head_dim,
            "vocab_size": vocab_size,
            "rms_norm_eps": rms_norm_eps,
            "rope_theta": rope.theta,
            "learning_rate": LEARNING_RATE,
            "beta1": BETAS[0],
            "beta2": BETAS[1],
            "epsilon": EPSILON,
            "weight_decay": WEIGHT_DECAY,
            "longest": LONGEST,
        })
    }

    /// The first weights as a safetensors file.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let parameters = Parameters::new(&self.spec.config);
        let table: Vec<_> = parameters.iter().map(|(_, parameter)| parameter).collect();
        Weights::init(&self.spec.config, SEED).to_safetensors(table, &TensorNames::default())
    }

    /// The text as little-endian u32, one more than the longest sequence has.
    pub fn text_bytes(&self) -> Vec<u8> {
        self.text.iter().flat_map(|id| id.to_le_bytes()).collect()
    }
}
