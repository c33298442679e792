//! Generation: completions of a prompt, sampled on the device.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::{Error, Result};
use crate::gpu::{Executor, Kernels};
use crate::model::{ModelSpec, WeightSource};
use crate::step::roll_out::{self, RollOutShape};
use crate::step::{Chunk, Limits, Pass, Plan, Program, RollOutBindings};

/// How completions are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 always takes the most likely token.
    pub temperature: f64,
    /// Sample only from that many most likely tokens; 0 for all.
    pub top_k: u32,
    /// Sample only from the fewest most likely tokens whose probabilities add up to that; 1 for all.
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: 0, top_p: 1.0 }
    }
}

impl Sampling {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] with the invalid one.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(Error::Setting(format!("the temperature is {}; it must be 0 or a positive number", self.temperature)));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::Setting(format!("top p is {}; it must be above 0 and at most 1", self.top_p)));
        }
        Ok(())
    }
}

/// A sampled token.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sampled {
    /// Its id.
    pub id: u32,
    /// The probability that the model gave it, before temperature, top-k and top-p.
    pub probability: f32,
}

/// Completions of one prompt that are being sampled. Each depends on the seed and its own number alone, not on how many are sampled with it.
pub struct Decoding {
    bindings: RollOutBindings,
    block: usize,
    rows: u32,
    /// Tokens that each completion has so far.
    done: u32,
}

impl Decoding {
    /// Starts to complete a prompt, with completions numbered from `first` on: `key` is that of their random numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] if the prompt is empty, too long, or has a token id outside the vocabulary; [`Error::DeviceLost`].
    ///
    /// # Panics
    /// If the executor's program has no roll-out, or one of fewer completions.
    pub fn start(
        executor: &mut Executor,
        prompt: &[u32],
        sampling: Sampling,
        key: [u8; 32],
        numbers: std::ops::Range<u32>,
    ) -> Result<Self> {
        let bindings = executor.program().bindings.roll_out.expect("the program samples completions");
        let (shape, vocab) = (bindings.shape, executor.program().config().vocab_size);
        let (first, rows) = (numbers.start, numbers.len() as u32);
        assert!((1..=shape.rows).contains(&rows), "{rows} completions at a time, where there is room for {}", shape.rows);
        check_prompt(prompt, shape, vocab)?;
        let prefix = prompt.len() as u32 - 1;
        let mut blocks = executor.program().pass(Pass::RollOut).map(|(block, _)| block).collect::<Vec<usize>>();
        let block = blocks.pop().expect("a roll-out decodes");
        let of_prompt = blocks.pop();
        let words = roll_out::Sampling {
            key: bytemuck::pod_read_unaligned(&key),
            temperature: sampling.temperature as f32,
            top_p: sampling.top_p as f32,
            top_k: if sampling.top_k == 0 { u32::MAX } else { sampling.top_k },
            first_completion: first,
            prefix,
            padding: [0; 3],
        };
        executor.write(bindings.sampling, bytemuck::bytes_of(&words));
        executor.write(bindings.origins, bytemuck::cast_slice(&shape.origins(prompt.len() as u32)));
        let mut ids = prompt.to_vec();
        ids.resize(shape.first_token() as usize, 0);
        ids.extend(std::iter::repeat_n(prompt[prefix as usize], shape.rows as usize));
        executor.write(bindings.input_ids, bytemuck::cast_slice(&ids));
        if let Some(of_prompt) = of_prompt {
            read_prompt(executor, of_prompt, prefix)?;
        }
        Ok(Decoding { bindings, block, rows, done: 0 })
    }

    /// Tokens that each completion can still have.
    pub fn left(&self) -> u32 {
        self.bindings.shape.completion - self.done
    }

    /// Samples the next `count` tokens of each completion, or as many as there is room for: for each completion, those tokens.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or another error of the device.
    pub async fn advance(&mut self, executor: &mut Executor, count: u32) -> Result<Vec<Vec<Sampled>>> {
        let RollOutBindings { shape, input_ids, log_probs, .. } = self.bindings;
        let count = count.min(self.left());
        let first = self.done * shape.rows;
        for _ in 0..count {
            let start = shape.first_token() + self.done * shape.rows;
            executor.run_chunk(self.block, Chunk { index: 0, start, count: self.rows })?;
            self.done += 1;
        }
        let bytes = 4 * u64::from(count * shape.rows);
        let from = 4 * u64::from(shape.first_token() + shape.rows + first);
        let ids: Vec<u32> = bytemuck::pod_collect_to_vec(&executor.read_range(input_ids, from, bytes).await?);
        let log_probs: Vec<f32> = bytemuck::pod_collect_to_vec(&executor.read_range(log_probs, 4 * u64::from(first), bytes).await?);
        let sampled = |at: usize| Sampled { id: ids[at], probability: log_probs[at].exp() };
        let of_row = |row: u32| (0..count).map(|place| sampled((place * shape.rows + row) as usize)).collect();
        Ok((0..self.rows).map(of_row).collect())
    }
}

fn check_prompt(prompt: &[u32], shape: RollOutShape, vocab: u32) -> Result<()> {
    if prompt.is_empty() || prompt.len() > shape.prompt as usize {
        return Err(Error::Setting(format!("the prompt has {} tokens; there is room for 1 to {}", prompt.len(), shape.prompt)));
    }
    match prompt.iter().find(|&&id| id >= vocab) {
        Some(id) => Err(Error::Setting(format!("the prompt has the token {id}, and the model knows {vocab}"))),
        None => Ok(()),
    }
}

/// Sends all tokens of a prompt but the last through the layers.
fn read_prompt(executor: &mut Executor, block: usize, prefix: u32) -> Result<()> {
    let program = executor.program();
    let len = program.blocks[block].chunk_order.chunk_len(program.share());
    for start in (0..prefix).step_by(len as usize) {
        executor.run_chunk(block, Chunk { index: 0, start, count: len.min(prefix - start) })?;
    }
    Ok(())
}

/// A generator: continues a prompt, with a program of its own.
pub struct Generator {
    executor: Executor,
    decoding: Option<Decoding>,
}

impl Generator {
    /// Plans a generator for completions of so many tokens of a prompt of at most so many.
    ///
    /// # Errors
    /// [`Error::BindingTooLarge`] if the keys of a layer exceed a binding.
    pub fn plan(spec: &ModelSpec, shape: RollOutShape, limits: Limits) -> Result<Plan> {
        Plan::new(Program::roll_out(spec, shape), limits)
    }

    /// Allocates a generator. `kernels` are those of a plan of [`Generator::plan`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or if the device was lost.
    pub async fn new(kernels: Kernels) -> Result<Self> {
        Ok(Generator { executor: Executor::new(kernels).await?, decoding: None })
    }

    /// Loads the values of all parameters.
    ///
    /// # Errors
    /// Errors of the weight source; [`Error::DeviceLost`].
    pub async fn load(&mut self, values: &impl WeightSource) -> Result<()> {
        self.decoding = None;
        self.executor.load(values).await
    }

    /// Loads the values of the trainable parameters.
    ///
    /// # Errors
    /// As [`Generator::load`].
    pub async fn load_trainable(&mut self, values: &impl WeightSource) -> Result<()> {
        self.decoding = None;
        self.executor.load_trainable(values).await
    }

    /// Starts completions of a prompt with these numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] if the prompt is empty, too long, or has a token id outside the vocabulary, or if the sampling is invalid.
    pub fn start(&mut self, prompt: &[u32], sampling: Sampling, seed: u64, numbers: std::ops::Range<u32>) -> Result<()> {
        sampling.validate()?;
        let key = ChaCha8Rng::seed_from_u64(seed).get_seed();
        self.decoding = Some(Decoding::start(&mut self.executor, prompt, sampling, key, numbers)?);
        Ok(())
    }

    /// Samples up to `count` more tokens of each completion; none where there is no room left.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    ///
    /// # Panics
    /// Before [`Generator::start`].
    pub async fn next(&mut self, count: u32) -> Result<Vec<Vec<Sampled>>> {
        self.decoding.as_mut().expect("a prompt was given").advance(&mut self.executor, count).await
    }
}
