//! Prompts: what a model is asked to go on from.

use serde_json::{Map, Value};

/// A prompt as token ids, with the row that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The token ids, up to where the model goes on.
    pub ids: Vec<u32>,
    /// The columns of its row, among them `prompt`, and `answer` where one is known.
    pub columns: Map<String, Value>,
    /// The completion that a demonstration would have, with the token that ends it.
    pub answer: Option<Vec<u32>>,
}
