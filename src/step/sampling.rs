//! What a roll-out has room for, and how it samples: the part of it that a host knows.

use bytemuck::{Pod, Zeroable};

use super::tensor::TOKEN_TILE;

/// What a roll-out has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollOutShape {
    /// P: tokens of a prompt.
    pub prompt: u32,
    /// G: completions that are sampled together.
    pub rows: u32,
    /// M: tokens of a completion.
    pub completion: u32,
}

/// How completions are sampled: the contents of [`RollOutBindings::sampling`](super::RollOutBindings::sampling), and the layout of `Sampling` in `shaders/sampling.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sampling {
    /// The key of the random numbers. Each token of the vocabulary has one at each place of each completion: words of ChaCha8, whose
    /// stream is the place and the number of the completion.
    pub key: [u32; 8],
    /// What logits are divided by; 0 always takes the most likely token.
    pub temperature: f32,
    /// Sample only from the fewest most likely tokens whose probabilities add up to that.
    pub top_p: f32,
    /// Sample only from that many most likely tokens; as many as there are, or more, for all.
    pub top_k: u32,
    /// The number of the first completion.
    pub first_completion: u32,
    /// Tokens of the prompt before its last one.
    pub prefix: u32,
    /// Nothing.
    pub padding: [u32; 3],
}

/// 32-bit words of [`Sampling`].
pub(super) const SAMPLING_WORDS: u32 = size_of::<Sampling>() as u32 / 4;

impl RollOutShape {
    /// The most completions that are sampled together.
    pub const MOST_ROWS: u32 = TOKEN_TILE;

    /// The number of the token that the first completion has at place 0. So far behind the prompt that no token's position is larger than
    /// its number.
    pub fn first_token(&self) -> u32 {
        self.prompt.next_multiple_of(self.rows)
    }

    /// The numbers of tokens that there are, the sampled ones included.
    pub(super) fn tokens(&self) -> u32 {
        self.first_token() + self.rows * (self.completion + 1)
    }

    /// Tokens that go through the layers with the prompt: all but its last one, which goes with each completion.
    pub(super) fn prefix(&self) -> u32 {
        self.prompt - 1
    }

    /// Checks that there is room for something.
    ///
    /// # Panics
    /// If there is none, or for more completions than can be sampled together.
    pub(super) fn check(&self) {
        let has_room = self.prompt > 0 && self.completion > 0 && (1..=RollOutShape::MOST_ROWS).contains(&self.rows);
        assert!(has_room, "a roll-out of {self:?}");
    }

    /// What is subtracted from the number of each token to give its position, for a prompt of so many tokens.
    ///
    /// # Panics
    /// If the prompt is longer than there is room for.
    pub fn origins(&self, prompt: u32) -> Vec<u32> {
        assert!((1..=self.prompt).contains(&prompt), "a prompt of {prompt} tokens for {self:?}");
        let first = self.first_token();
        let of_completion = |token: u32| token - (prompt - 1 + (token - first) / self.rows);
        (0..self.tokens()).map(|token| if token < first { 0 } else { of_completion(token) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_on_behind_the_prompt() {
        let shape = RollOutShape { prompt: 5, rows: 3, completion: 4 };
        assert_eq!(shape.first_token(), 6);
        for prompt in [1, 4, 5] {
            let origins = shape.origins(prompt);
            let positions: Vec<u32> = (0..).zip(origins).map(|(token, origin)| token - origin).collect();
            assert_eq!(positions[..5], [0, 1, 2, 3, 4]);
            let of_completions: Vec<u32> = (0..5).flat_map(|place| [prompt - 1 + place; 3]).collect();
            assert_eq!(positions[6..], of_completions);
        }
    }
}
