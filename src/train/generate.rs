//! Generation, token by token, with a KV cache.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::error::{Error, Result};
use crate::gpu::{Executor, Kernels};
use crate::model::{ModelSpec, WeightSource};
use crate::step::{Chunk, Limits, Plan, Program, TOKEN_TILE, TensorId};

/// A generator: continues a prompt.
pub struct Generator {
    executor: Executor,
    logits: TensorId,
    tokens: Vec<u32>,
    /// The number of tokens in the KV cache.
    done: usize,
}

/// A sampler of tokens, with temperature and top-k.
pub struct Sampler {
    temperature: f64,
    top_k: usize,
    rng: ChaCha8Rng,
}

/// A sampled token.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sampled {
    /// Its id.
    pub id: u32,
    /// The probability that the model gave it, before temperature and top-k.
    pub probability: f32,
}

impl Generator {
    /// Plans a generator for a context of `context` tokens, prompt included. Returns the plan and the tensor of the logits.
    ///
    /// # Errors
    /// [`Error::BindingTooLarge`] if the KV cache of a layer exceeds a binding.
    pub fn plan(spec: &ModelSpec, context: u32, limits: Limits) -> Result<(Plan, TensorId)> {
        let (program, logits) = Program::decode(spec, context);
        Ok((Plan::new(program, limits)?, logits))
    }

    /// Allocates a generator. `kernels` are those of a plan of [`Generator::plan`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or if the device was lost.
    pub async fn new(kernels: Kernels, logits: TensorId) -> Result<Self> {
        Ok(Generator { executor: Executor::new(kernels).await?, logits, tokens: Vec::new(), done: 0 })
    }

    /// Loads the values of all parameters and clears the context.
    ///
    /// # Errors
    /// Errors of the weight source; [`Error::DeviceLost`].
    pub async fn load(&mut self, values: &impl WeightSource) -> Result<()> {
        self.tokens.clear();
        self.done = 0;
        self.executor.load(values).await
    }

    /// Loads the values of the trainable parameters and clears the context.
    ///
    /// # Errors
    /// As [`Generator::load`].
    pub async fn load_trainable(&mut self, values: &impl WeightSource) -> Result<()> {
        self.tokens.clear();
        self.done = 0;
        self.executor.load_trainable(values).await
    }

    /// Starts a new context with a prompt.
    ///
    /// # Errors
    /// [`Error::Setting`] if the prompt is empty, too long, or has a token id outside the vocabulary.
    pub fn start(&mut self, prompt: &[u32]) -> Result<()> {
        let (context, vocab) = (self.executor.program().tokens() as usize, self.executor.program().config().vocab_size);
        if prompt.is_empty() || prompt.len() >= context {
            return Err(Error::Setting(format!(
                "the prompt has {} tokens; with this context it may have 1 to {}",
                prompt.len(),
                context - 1
            )));
        }
        if let Some(id) = prompt.iter().find(|&&id| id >= vocab) {
            return Err(Error::Setting(format!("the prompt has the token {id}, and the model knows {vocab}")));
        }
        self.tokens = prompt.to_vec();
        self.done = 0;
        Ok(())
    }

    /// Samples the next token and appends it to the context.
    ///
    /// # Errors
    /// [`Error::Setting`] if the context is full; [`Error::DeviceLost`].
    pub async fn next(&mut self, sampler: &mut Sampler) -> Result<Sampled> {
        let context = self.executor.program().tokens() as usize;
        if self.tokens.len() >= context {
            return Err(Error::Setting(format!("the context of {context} tokens is full")));
        }
        let logits = self.logits().await?;
        let sampled = sampler.choose(&logits);
        self.tokens.push(sampled.id);
        Ok(sampled)
    }

    /// The logits after the last token (V).
    async fn logits(&mut self) -> Result<Vec<f32>> {
        let ids = self.executor.program().bindings.input_ids;
        self.executor.write(ids, bytemuck::cast_slice(&self.tokens));
        let mut last_row = 0;
        while self.done < self.tokens.len() {
            let tile = TOKEN_TILE as usize;
            let count = (self.tokens.len() - self.done).min(tile - self.done % tile) as u32;
            self.executor.run_chunk(0, Chunk { index: 0, start: self.done as u32, count })?;
            self.done += count as usize;
            last_row = u64::from(count - 1);
        }
        let tensor = self.executor.program().tensor(self.logits);
        let (stride, vocab) = (4 * u64::from(tensor.cols), 4 * u64::from(self.executor.program().config().vocab_size));
        let bytes = self.executor.read_range(self.logits, last_row * stride, vocab).await?;
        let logits: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        Ok(match self.executor.program().config().final_logit_softcapping {
            Some(cap) => logits.into_iter().map(|logit| (cap * (f64::from(logit) / cap).tanh()) as f32).collect(),
            None => logits,
        })
    }
}

impl Sampler {
    /// A temperature of 0 takes the most likely token; `top_k` 0 allows all tokens.
    pub fn new(temperature: f64, top_k: usize, seed: u64) -> Self {
        Sampler { temperature, top_k, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn choose(&mut self, logits: &[f32]) -> Sampled {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let keep = if self.temperature <= 0.0 { 1 } else { self.top_k };
        if keep > 0 {
            order.truncate(keep);
        }
        let top = f64::from(logits[order[0]]);
        let weight = |i: usize| ((f64::from(logits[i]) - top) / self.temperature.max(1e-9)).exp();
        let total: f64 = order.iter().map(|&i| weight(i)).sum();
        let mut left = (f64::from(self.rng.next_u32()) + 0.5) / 4_294_967_296.0 * total;
        let mut id = order[0];
        for i in order {
            id = i;
            left -= weight(i);
            if left <= 0.0 {
                break;
            }
        }
        let sum: f64 = logits.iter().map(|&l| (f64::from(l) - top).exp()).sum();
        Sampled { id: id as u32, probability: ((f64::from(logits[id]) - top).exp() / sum) as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_leaves_the_rest_out_and_zero_temperature_takes_the_best() {
        let logits = [0.0, 3.0, 1.0, 2.0];
        let mut sampler = Sampler::new(1.0, 2, 1);
        assert!((0..200).all(|_| matches!(sampler.choose(&logits).id, 1 | 3)));
        let mut greedy = Sampler::new(0.0, 0, 1);
        assert!((0..20).all(|_| greedy.choose(&logits).id == 1));
    }

    #[test]
    fn shares_follow_the_probabilities() {
        let mut sampler = Sampler::new(1.0, 0, 9);
        let logits = [0.0, 2f32.ln()];
        let ones = (0..3000).filter(|_| sampler.choose(&logits).id == 1).count();
        assert!((1900..2100).contains(&ones), "{ones}");
        assert!((sampler.choose(&[0.0, 100.0]).probability - 1.0).abs() < 1e-6);
    }
}
