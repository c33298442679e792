//! The share of a batch's tokens that one of several ranks holds.

/// Consecutive tokens of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// The first token.
    pub first: u32,
    /// One past the last token.
    pub end: u32,
}

impl Share {
    /// The number of tokens.
    pub fn tokens(self) -> u32 {
        self.end - self.first
    }
}

/// All of that many tokens.
impl From<u32> for Share {
    fn from(tokens: u32) -> Share {
        Share { first: 0, end: tokens }
    }
}
