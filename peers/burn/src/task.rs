//! The task as it was exported.

use std::error::Error;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

/// Sizes of the decoder and settings of AdamW.
#[derive(serde::Deserialize)]
pub struct Sizes {
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub learning_rate: f64,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
}

/// Sizes, the bytes of the first weights, and the text.
pub struct Task {
    pub sizes: Sizes,
    weights: Vec<u8>,
    text: Vec<i32>,
}

impl Task {
    pub fn read(directory: &Path) -> Result<Task, Box<dyn Error>> {
        let sizes = serde_json::from_slice(&fs::read(directory.join("task.json"))?)?;
        let weights = fs::read(directory.join("weights.safetensors"))?;
        let text = fs::read(directory.join("text.bin"))?.as_chunks().0.iter().map(|&id| i32::from_le_bytes(id)).collect();
        Ok(Task { sizes, weights, text })
    }

    /// The weights by name.
    pub fn weights(&self) -> Result<SafeTensors<'_>, Box<dyn Error>> {
        Ok(SafeTensors::deserialize(&self.weights)?)
    }

    /// So many tokens, and the token behind each.
    pub fn batch(&self, length: usize) -> [&[i32]; 2] {
        [&self.text[..length], &self.text[1..=length]]
    }
}
