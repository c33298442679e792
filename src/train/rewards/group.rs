//! Completions that are compared with each other.

use serde_json::{Map, Value};

/// A prompt with the completions that were sampled for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The prompt as the model was given it.
    pub prompt: String,
    /// The columns of its row, for functions that look at them.
    pub columns: Map<String, Value>,
    /// The completions, without the token that ends each.
    pub completions: Vec<String>,
}
