//! Attention of completions that are sampled together.

use super::operation::{Operation, Sizes};

operation! {
    /// `out = softmax(scale · q·kᵀ) · v` for a token of each completion, over the keys of their prompt, which they share, and its own.
    DecodeAttention {
        /// Queries (C×H·E).
        read q,
        /// Keys of the prompt (P×K·E, or a ring).
        read prompt_k,
        /// Values of the prompt (P×K·E, or a ring).
        read prompt_v,
        /// Keys of the completions (M·G×K·E, or a ring).
        read k,
        /// Values of the completions (M·G×K·E, or a ring).
        read v,
        /// How to sample, and the length of the prompt (16).
        read sampling,
        /// (C×H·E)
        write out,
        ;
        /// G: completions that are sampled together.
        rows: u32,
        /// The number of the first token of the first completion.
        first_token: u32,
        /// The sliding window in tokens, the query included.
        window: Option<u32>,
    }
}

impl DecodeAttention {
    /// The most keys that a query sees.
    fn keys(&self, sizes: &Sizes) -> u64 {
        let places = u64::from(sizes.chunk.start.saturating_sub(self.first_token) / self.rows + 1);
        let prompt = u64::from(sizes.rows(self.prompt_k));
        self.window.map_or(prompt + places, |window| (prompt + places).min(u64::from(window)))
    }
}

impl Operation for DecodeAttention {
    fn flops(&self, sizes: &Sizes) -> u64 {
        let pairs = u64::from(sizes.chunk.count) * u64::from(sizes.config.num_attention_heads) * self.keys(sizes);
        pairs * (4 * sizes.head_dim() + 4)
    }

    fn rows_read(&self, sizes: &Sizes, operand: &str) -> Option<u64> {
        let of_prompt = u64::from(sizes.rows(self.prompt_k));
        match operand {
            "prompt_k" | "prompt_v" => Some(of_prompt),
            "k" | "v" => Some(self.keys(sizes).saturating_sub(of_prompt) * u64::from(sizes.chunk.count)),
            _ => None,
        }
    }

    fn window(&self) -> Option<u32> {
        self.window
    }
}
