//! Prompts: which of them a step samples completions of.
//!
//! The order of rows is drawn once per epoch, so what is drawn depends only on seed and number.

use std::borrow::Cow;
use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::draw::{in_epochs, needed, numbered, with_held_out};
use super::summary::Summary;
use super::tasks::{END, Task, text};
use crate::error::{Error, Result};
use crate::model::fingerprint::hash;
use crate::text::Prompt;

/// Decodes token ids. It is given as a function, so that a page which trains on bytes need not load a tokenizer.
pub type Decode = Box<dyn Fn(&[u32]) -> String + Send + Sync>;

/// The prompts of a dataset.
pub struct Prompts {
    source: Source,
    end: Vec<u32>,
    /// `None` for bytes.
    decode: Option<Decode>,
}

enum Source {
    Rows {
        /// Those to train on, then the held-out ones.
        all: Vec<Prompt>,
        training: usize,
        summary: Summary,
    },
    Task {
        task: Task,
        longest: u32,
    },
}

/// A prompt that was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn<'a> {
    /// Which one it is: of rows always the same for the same row; of a task, which never has one twice, the count of those before it.
    pub index: u64,
    /// The prompt.
    pub prompt: Cow<'a, Prompt>,
}

impl Prompts {
    /// Prompts of rows. Those longer than `longest` tokens are left out, as none is cut; a tenth of the others (at least one) is held out. `end`
    /// are the tokens that end a completion. Without `decode`, token ids are bytes.
    pub(super) fn of_rows(rows: Vec<Prompt>, end: Vec<u32>, decode: Option<Decode>, longest: u32) -> Result<Self> {
        let read = rows.len();
        let (mut short, long): (Vec<Prompt>, Vec<Prompt>) = rows.into_iter().partition(|prompt| prompt.ids.len() <= longest as usize);
        if let Some(shortest) = long.iter().map(|prompt| prompt.ids.len()).min().filter(|_| short.len() < 2) {
            return Err(Error::Data(format!(
                "{} of {read} prompts are longer than {longest} tokens, the longest that a prompt may be here, and 2 are needed that are not (the shortest of the long ones has {shortest}); take a longer sequence, or shorter prompts",
                long.len()
            )));
        }
        if short.len() < 2 {
            return Err(Error::Data(format!(
                "there are {read} prompts, and 2 are needed (one to train on, one to validate); give more rows"
            )));
        }
        if short.iter().any(|prompt| prompt.ids.is_empty()) {
            return Err(Error::Data("a prompt has no token to go on from; give each some text".to_owned()));
        }
        let summary = summary(&short, &long);
        let (order, training) = with_held_out(short.len());
        let all = order.into_iter().map(|place| std::mem::replace(&mut short[place], nothing())).collect();
        Ok(Prompts { source: Source::Rows { all, training, summary }, end, decode })
    }

    /// Prompts of a task, of at most `longest` tokens.
    pub(super) fn of_task(task: Task, longest: u32) -> Result<Self> {
        task.check(longest)?;
        Ok(Prompts { source: Source::Task { task, longest }, end: vec![END], decode: None })
    }

    /// Tokens of the longest prompt; of a task, as many as one may have.
    pub fn longest(&self) -> u32 {
        match &self.source {
            Source::Rows { all, .. } => all.iter().map(|prompt| prompt.ids.len() as u32).max().unwrap_or_default(),
            Source::Task { longest, .. } => *longest,
        }
    }

    /// The next `count` prompts to train on, for the step with that number. All rows come once before one comes again.
    pub fn draw(&self, seed: u64, number: u64, count: u32) -> Vec<Drawn<'_>> {
        let first = number * u64::from(count);
        match &self.source {
            Source::Rows { all, training, .. } => in_epochs(*training, seed, first, count).into_iter().map(|at| drawn(all, at)).collect(),
            Source::Task { task, longest } => generated(task, *longest, &mut numbered(seed, number), first, count),
        }
    }

    /// The first `count` held-out prompts, or as many as there are.
    pub fn held_out(&self, count: u32) -> Vec<Drawn<'_>> {
        match &self.source {
            Source::Rows { all, training, .. } => (*training..all.len()).take(count as usize).map(|at| drawn(all, at)).collect(),
            Source::Task { task, longest } => generated(task, *longest, &mut ChaCha8Rng::seed_from_u64(u64::MAX), 0, count),
        }
    }

    /// The tokens of which each ends a completion.
    pub fn end(&self) -> &[u32] {
        &self.end
    }

    /// Token ids as text.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.decode.as_ref().map_or_else(|| text(ids), |decode| decode(ids))
    }

    /// The vocabulary size that a model needs.
    pub fn vocab_size(&self) -> u32 {
        match &self.source {
            Source::Rows { all, .. } => needed(all.iter().flat_map(ids).chain(&self.end)),
            Source::Task { .. } => 256,
        }
    }

    /// A hash of the prompts with their columns, to recognise the dataset of a run.
    pub fn fingerprint(&self) -> u64 {
        match &self.source {
            Source::Rows { all, .. } => {
                let numbers = |prompt: &Prompt| {
                    let columns = serde_json::to_vec(&prompt.columns).expect("columns were JSON");
                    let lengths = [prompt.ids.len(), columns.len()].map(|length| length as u64);
                    lengths
                        .into_iter()
                        .chain(ids(prompt).copied().map(u64::from))
                        .chain(columns.into_iter().map(u64::from))
                        .collect::<Vec<u64>>()
                };
                hash(all.iter().flat_map(numbers).chain(self.end.iter().copied().map(u64::from)))
            }
            Source::Task { task, .. } => hash(format!("prompts of {task:?}").bytes().map(u64::from)),
        }
    }

    /// What was read, and what was lost of it. Nothing, if the prompts are generated.
    pub fn summary(&self) -> Option<Summary> {
        match &self.source {
            Source::Rows { summary, .. } => Some(*summary),
            Source::Task { .. } => None,
        }
    }
}

impl fmt::Debug for Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompts").field("longest", &self.longest()).field("end", &self.end).finish_non_exhaustive()
    }
}

fn drawn(all: &[Prompt], at: usize) -> Drawn<'_> {
    Drawn { index: at as u64, prompt: Cow::Borrowed(&all[at]) }
}

fn generated(task: &Task, longest: u32, rng: &mut ChaCha8Rng, first: u64, count: u32) -> Vec<Drawn<'static>> {
    (first..first + u64::from(count)).map(|index| Drawn { index, prompt: Cow::Owned(task.prompt(longest, rng)) }).collect()
}

/// The token ids of a prompt and its answer.
fn ids(prompt: &Prompt) -> impl Iterator<Item = &u32> {
    prompt.ids.iter().chain(prompt.answer.iter().flatten())
}

/// What rows come to, of which some are too long. Labels are the tokens of answers.
fn summary(short: &[Prompt], long: &[Prompt]) -> Summary {
    let all = || short.iter().chain(long);
    Summary {
        documents: all().count() as u64,
        tokens: all().map(|prompt| ids(prompt).count() as u64).sum(),
        labels: all().map(|prompt| prompt.answer.as_ref().map_or(0, Vec::len) as u64).sum(),
        too_long: long.len() as u64,
        ..Summary::default()
    }
}

fn nothing() -> Prompt {
    Prompt { ids: Vec::new(), columns: serde_json::Map::new(), answer: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Prompts of one token id each, as often as `2 + id % 5`.
    fn rows(count: u32) -> Vec<Prompt> {
        let prompt = |id: u32| {
            let columns = [("prompt".to_owned(), id.to_string().into())].into_iter().collect();
            Prompt { ids: vec![id; 2 + id as usize % 5], columns, answer: id.is_multiple_of(2).then(|| vec![id, 7]) }
        };
        (0..count).map(prompt).collect()
    }

    fn prompts(count: u32, longest: u32) -> Prompts {
        Prompts::of_rows(rows(count), vec![300], Some(Box::new(|ids| format!("{ids:?}"))), longest).unwrap()
    }

    #[test]
    fn every_row_comes_once_an_epoch_or_is_held_out() {
        let prompts = prompts(20, 100);
        assert_eq!((prompts.longest(), prompts.vocab_size(), prompts.end()), (6, 301, &[300][..]));
        let epoch: Vec<Drawn> = (0..6).flat_map(|number| prompts.draw(1, number, 3)).collect();
        let places: BTreeSet<u64> = epoch.iter().map(|drawn| drawn.index).collect();
        assert_eq!(places, (0..18).collect());
        let held_out = prompts.held_out(9);
        assert_eq!(held_out.len(), 2);
        assert!(held_out.iter().all(|drawn| epoch.iter().all(|other| other.prompt != drawn.prompt)));
        let again = prompts.draw(1, 3, 3);
        assert_eq!(again, epoch[9..12]);
        // A row keeps its index in the next epoch, which has another order.
        let next: Vec<Drawn> = (6..12).flat_map(|number| prompts.draw(1, number, 3)).collect();
        assert!(next != epoch && next.iter().all(|drawn| epoch.contains(drawn)));
        assert_ne!(prompts.draw(2, 0, 18), epoch);
        assert_eq!(prompts.decode(&[1, 2]), "[1, 2]");
    }

    #[test]
    fn prompts_that_are_too_long_are_left_out_and_counted() {
        let prompts = prompts(20, 4);
        let summary = prompts.summary().unwrap();
        assert_eq!((prompts.longest(), summary.documents, summary.too_long, summary.labels), (4, 20, 8, 20));
        let said = |rows: Vec<Prompt>, longest| Prompts::of_rows(rows, Vec::new(), None, longest).unwrap_err().to_string();
        assert!(said(rows(20), 1).contains("20 of 20 prompts are longer than 1 tokens") && said(rows(20), 1).contains("has 2)"));
        assert!(said(rows(1), 9).contains("there are 1 prompts"));
        assert!(said(vec![nothing(), nothing()], 9).contains("no token to go on from"));
    }

    #[test]
    fn another_column_is_another_dataset() {
        let of = |rows: Vec<Prompt>| Prompts::of_rows(rows, vec![300], None, 100).unwrap().fingerprint();
        let mut other = rows(20);
        other[3].columns.insert("answer".to_owned(), 4.into());
        assert!(of(rows(20)) == of(rows(20)) && of(rows(20)) != of(other) && of(rows(20)) != of(rows(19)));
    }

    #[test]
    fn tasks_ask_anew_each_time() {
        let prompts = Prompts::of_task(Task::named("sort", 20).unwrap(), 64).unwrap();
        let first = prompts.draw(3, 0, 4);
        assert_eq!(first, prompts.draw(3, 0, 4));
        assert!(first != prompts.draw(3, 1, 4) && first != prompts.draw(4, 0, 4) && first != prompts.held_out(4));
        assert_eq!(prompts.draw(3, 2, 4).iter().map(|drawn| drawn.index).collect::<Vec<_>>(), [8, 9, 10, 11]);
        let answer = first[0].prompt.answer.as_deref().unwrap();
        assert_eq!((prompts.end(), answer.last()), (&[10][..], Some(&10)));
        assert_eq!(Some(prompts.decode(&answer[..8]).as_str()), first[0].prompt.columns["answer"].as_str());
        assert!(prompts.summary().is_none() && Prompts::of_task(Task::named("sort", 20).unwrap(), 30).is_err());
    }
}
