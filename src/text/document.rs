//! Documents: training data as token ids.

/// A text or a conversation as token ids, with an assistant mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The token ids.
    pub ids: Vec<u32>,
    /// For each token, whether it is trained on.
    pub assistant_mask: Vec<bool>,
}
