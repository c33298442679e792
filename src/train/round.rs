//! A round of roll-outs: the completions that one or several steps learn from, with what they are worth.

use super::generate::{Decoding, Sampled, Sampling};
use super::objectives::{RewardMetrics, advantages};
use super::prompts::{Drawn, Prompts};
use super::rewards::{Group, Rewards};
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::gpu::Executor;
use crate::step::{GrpoSettings, IGNORED_LABEL};

/// Tokens of each completion between two looks at what was sampled.
const TOKENS_AT_A_TIME: u32 = 8;

/// The completions of a round.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Round {
    /// Rounds before it.
    pub number: u64,
    /// Group after group.
    pub completions: Vec<Completion>,
    /// What the rewards come to; `None` of answers that were not sampled.
    pub rewards: Option<RewardMetrics>,
    /// The log-probabilities of the labels of each batch by the model that sampled them, if a later step asks for them.
    pub old_log_probs: Vec<Vec<f32>>,
}

/// A completion.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Completion {
    /// The tokens of the prompt.
    pub prompt: Vec<u32>,
    /// Its own tokens, with the one that ends it.
    pub ids: Vec<u32>,
    /// Its text, without what ends it.
    pub text: String,
    /// Has it come to an end, and not only to the longest length?
    pub is_ended: bool,
    /// Its weighted reward.
    pub reward: f64,
    /// How much better it is than the others of its group.
    pub advantage: f32,
    /// The sum of the log-probabilities of its tokens when they were sampled, before temperature, top-k and top-p.
    pub log_prob: f64,
    /// The weight of each of its tokens in the gradient of the last step on it: −∂loss/∂log-probability. Nothing, if nobody looks on.
    pub weights: Vec<f32>,
}

/// How far the sampling of a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RoundProgress {
    /// The prompt at hand.
    pub prompt: u32,
    /// Prompts of the round.
    pub prompts: u32,
    /// Tokens that its completions have so far.
    pub tokens: u32,
}

/// What looks on while completions are sampled: how far, and the texts of the group at hand.
pub type Watch = Box<dyn Fn(RoundProgress, &[String])>;

impl Round {
    /// Notes the weights of the tokens of a batch (N), whose completions are those from `first` on.
    pub(super) fn set_weights(&mut self, first: usize, count: usize, weights: &[f32]) {
        let mut start = 0;
        for completion in self.completions.iter_mut().skip(first).take(count) {
            let label = start + completion.prompt.len() - 1;
            completion.weights = weights[label..label + completion.ids.len()].to_vec();
            start = label + completion.ids.len();
        }
    }
}

impl Completion {
    /// The token ids of prompt and completion, each with its label: those of the completion have one, unless `is_masked`.
    pub(super) fn sequence(&self, is_masked: bool) -> (Vec<u32>, Vec<u32>) {
        let all: Vec<u32> = self.prompt.iter().chain(&self.ids).copied().collect();
        let first = self.prompt.len();
        let label = |i: usize| if i < first || is_masked { IGNORED_LABEL } else { all[i] };
        let labels = (1..all.len()).map(label).collect();
        (all[..all.len() - 1].to_vec(), labels)
    }
}

/// What samples and rewards the completions of a step.
pub(super) struct Sampler<'a> {
    pub settings: &'a Settings,
    pub grpo: GrpoSettings,
    pub prompts: &'a Prompts,
    pub rewards: &'a Rewards,
    pub watch: Option<&'a Watch>,
}

impl Sampler<'_> {
    /// Samples the completions of a round, and rewards them.
    ///
    /// # Errors
    /// Errors of the device, and of the rewards.
    pub async fn round(&self, executor: &mut Executor, number: u64) -> Result<Round> {
        let group = self.grpo.num_generations;
        let prompts = self.settings.sequences() / group;
        let mut completions = Vec::new();
        let mut groups = Vec::new();
        for (at, drawn) in (0..).zip(self.prompts.draw(self.settings.seed, number, prompts)) {
            let progress = RoundProgress { prompt: at, prompts, tokens: 0 };
            let of_group = self.group(executor, number, &drawn, progress).await?;
            groups.push(self.scored(&drawn, &of_group));
            completions.extend(of_group);
        }
        let scores = self.rewards.score(&groups)?;
        let totals = self.rewards.total(&scores);
        let scale = self.settings.roll_outs.as_ref().map_or_else(Default::default, |roll_outs| roll_outs.scale_rewards);
        let of_completions = completions.iter_mut().zip(&totals).zip(advantages(&totals, group as usize, scale));
        of_completions.for_each(|((completion, &reward), advantage)| (completion.reward, completion.advantage) = (reward, advantage));
        let rewards = Some(RewardMetrics::of(self.rewards.names(), &scores, &totals, group as usize, scale));
        Ok(Round { number, completions, rewards, old_log_probs: Vec::new() })
    }

    /// The weighted reward of the likeliest completion of each of some held-out prompts.
    ///
    /// # Errors
    /// As [`Sampler::round`].
    pub async fn held_out(&self, executor: &mut Executor, count: u32) -> Result<Vec<f64>> {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let mut groups = Vec::new();
        for drawn in self.prompts.held_out(count) {
            let completion = self.complete(executor, &drawn.prompt.ids, greedy, [0; 32], 0..1, |_, _| ()).await?;
            groups.push(self.scored(&drawn, &completion));
        }
        Ok(self.rewards.total(&self.rewards.score(&groups)?))
    }

    /// The answers of a step's prompts, as if they had been sampled and were better than others: so the loss is that of supervised
    /// fine-tuning.
    ///
    /// # Errors
    /// [`Error::Data`] if a row has no answer, or one that is too long.
    pub fn answers(&self, step: u64) -> Result<Round> {
        let answer = |drawn: Drawn<'_>| {
            let longest = self.grpo.max_completion_length;
            let prompt = drawn.prompt.into_owned();
            let ids = prompt.answer.ok_or_else(|| {
                let text = "a row has no \"answer\", which the first steps are to learn from; add it, or leave out --sft-steps";
                Error::Data(text.to_owned())
            })?;
            if ids.len() > longest as usize {
                return Err(Error::Data(format!(
                    "an answer has {} tokens, and a completion at most {longest}; give a larger --max-completion-length",
                    ids.len()
                )));
            }
            let text = self.prompts.decode(&ids);
            Ok(Completion { prompt: prompt.ids, ids, text, is_ended: true, advantage: 1.0, ..Completion::default() })
        };
        // Other prompts than those of roll-outs.
        let drawn = self.prompts.draw(!self.settings.seed, step, self.settings.sequences());
        Ok(Round { number: step, completions: drawn.into_iter().map(answer).collect::<Result<_>>()?, ..Round::default() })
    }

    /// The completions of a prompt.
    async fn group(&self, executor: &mut Executor, number: u64, drawn: &Drawn<'_>, progress: RoundProgress) -> Result<Vec<Completion>> {
        let roll_outs = self.settings.roll_outs.as_ref().expect("they were checked");
        let sampling = roll_outs.sampling(self.grpo.temperature);
        let mut key = [0; 32];
        let words = [self.settings.seed, number, drawn.index].map(u64::to_le_bytes);
        key[..24].copy_from_slice(words.as_flattened());
        let at_a_time = executor.program().bindings.roll_out.expect("the program samples").shape.rows;
        let all = self.grpo.num_generations;
        let mut completions = Vec::new();
        for first in (0..all).step_by(at_a_time as usize) {
            let numbers = first..(first + at_a_time).min(all);
            let watch = |tokens: u32, rows: &[Row]| {
                let Some(watch) = self.watch else { return };
                watch(RoundProgress { tokens, ..progress }, &rows.iter().map(|row| row.text.clone()).collect::<Vec<String>>());
            };
            completions.extend(self.complete(executor, &drawn.prompt.ids, sampling, key, numbers, watch).await?);
        }
        Ok(completions)
    }

    /// Completions of a prompt with these numbers, each up to its end.
    async fn complete(
        &self,
        executor: &mut Executor,
        prompt: &[u32],
        sampling: Sampling,
        key: [u8; 32],
        numbers: std::ops::Range<u32>,
        watch: impl Fn(u32, &[Row]),
    ) -> Result<Vec<Completion>> {
        let mut decoding = Decoding::start(executor, prompt, sampling, key, numbers.clone())?;
        let mut rows: Vec<Row> = numbers.map(|_| Row::default()).collect();
        let mut tokens = 0;
        while decoding.left() > 0 && rows.iter().any(|row| !row.is_ended) {
            let more = decoding.advance(executor, TOKENS_AT_A_TIME).await?;
            tokens += more[0].len() as u32;
            rows.iter_mut().zip(more).for_each(|(row, more)| row.push(more, self));
            watch(tokens, &rows);
        }
        let completion = |Row { ids, text, is_ended, log_prob }| Completion {
            prompt: prompt.to_vec(),
            ids,
            text,
            is_ended,
            log_prob,
            ..Completion::default()
        };
        Ok(rows.into_iter().map(completion).collect())
    }

    fn scored(&self, drawn: &Drawn<'_>, completions: &[Completion]) -> Group {
        Group {
            prompt: self.prompts.decode(&drawn.prompt.ids),
            columns: drawn.prompt.columns.clone(),
            completions: completions.iter().map(|completion| completion.text.clone()).collect(),
        }
    }
}

/// A completion that is being sampled.
#[derive(Default)]
struct Row {
    ids: Vec<u32>,
    text: String,
    is_ended: bool,
    log_prob: f64,
}

impl Row {
    /// Adds tokens up to the end: a token that ends completions, or a text that does.
    fn push(&mut self, more: Vec<Sampled>, sampler: &Sampler<'_>) {
        let stop = sampler.settings.roll_outs.as_ref().map_or(&[][..], |roll_outs| &roll_outs.stop);
        for Sampled { id, probability } in more {
            if self.is_ended {
                return;
            }
            self.ids.push(id);
            self.log_prob += f64::from(probability).ln();
            if sampler.prompts.end().contains(&id) {
                self.is_ended = true;
                self.text = sampler.prompts.decode(&self.ids[..self.ids.len() - 1]);
            } else if !stop.is_empty() {
                self.text = sampler.prompts.decode(&self.ids);
                let end = stop.iter().filter_map(|stop| self.text.find(stop)).min();
                if let Some(end) = end {
                    self.is_ended = true;
                    self.text.truncate(end);
                }
            }
        }
        if !self.is_ended {
            self.text = sampler.prompts.decode(&self.ids);
        }
    }
}
