//! Sampling of the next token of each completion.

use super::operation::{Operation, Sizes};

operation! {
    /// Chooses the next token of each completion by its logits, divided by the temperature: of those that top-k and top-p leave, the one for
    /// which the logit less `ln e` is largest, where the `e` are random numbers with an exponential distribution. So each is chosen with the
    /// probability that it has (the Gumbel-max trick, as in Huijben et al. 2021).
    Sample {
        /// (C×V)
        read logits,
        /// How to sample (16).
        read sampling,
        /// Token ids; the chosen ones come to the next place.
        write input_ids,
        /// The log-probability of each chosen token by the model, before temperature, top-k and top-p.
        write log_probs,
        ;
        /// G: completions that are sampled together.
        rows: u32,
        /// The number of the first token of the first completion.
        first_token: u32,
    }
}

/// How often the kernel goes through a row of logits.
const PASSES: u64 = 40;

impl Operation for Sample {
    fn flops(&self, sizes: &Sizes) -> u64 {
        PASSES * sizes.chunk_elements(self.logits)
    }
}
