//! What is learned from, as token ids.

/// A text or a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// Is the token to be learned? One for each.
    pub assistant_mask: Vec<bool>,
}
