//! The stories task: a small world, told fact by fact, with questions about facts that were told some way back.

mod english;
mod grammar;
mod korean;
mod preferences;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::example::Example;
use super::prompt::prompt;
use super::random::{below, between, shuffled};
use crate::error::{Error, Result};
use crate::text::Prompt;
use crate::train::accuracy::Answer;
use grammar::{Grammar, Kind, VALUES};

pub use preferences::PreferencesTask;

/// The stories task: `Mia is in the park. … Where is Mia? Mia is in the park. …`. All tokens have labels; the values in the answers to
/// questions are the task's answers. A value is drawn uniformly for each fact of a story, and between its telling and a question about it
/// nothing else speaks of it. The last telling may be the answer to an earlier question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StoriesTask {
    /// The language.
    pub language: Language,
}

/// The language of stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Language {
    /// English.
    English,
    /// Korean. A syllable is three tokens.
    Korean,
}

impl StoriesTask {
    /// Sequences of a validation. A short one has about twenty answers, of which few lie far back.
    pub(super) const VALIDATION_SEQUENCES: u32 = 16;

    /// The share of answers that a guess gets right.
    pub(super) const CHANCE: f64 = 1.0 / VALUES as f64;

    /// Checks that a sequence of that length can hold a fact and a question about it.
    ///
    /// # Errors
    /// [`Error::Data`] with the required length.
    pub(super) fn check(&self, seq_len: u32) -> Result<()> {
        let least = self.least();
        if seq_len < least {
            return Err(Error::Data(format!("stories need sequences of {least} tokens or more; this one has {seq_len}")));
        }
        Ok(())
    }

    /// A story from its start on. Its end is cut off; an answer that is cut does not count.
    pub(super) fn sequence(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Example {
        let seq_len = seq_len as usize;
        let mut story = Story::new(self.grammar(), seq_len, rng);
        while story.text.len() <= seq_len {
            story.go_on();
        }
        let id = |&byte: &u8| u32::from(byte);
        let [ids, labels] = [0, 1].map(|start| story.text.as_bytes()[start..start + seq_len].iter().map(id).collect());
        story.answers.retain(|answer| answer.positions.end as usize <= seq_len);
        Example { ids, labels, answers: story.answers }
    }

    /// A story of a random length that ends with a question, and the answer, which would fit as well.
    pub(super) fn prompt(&self, seq_len: u32, rng: &mut ChaCha8Rng) -> Prompt {
        let tokens = between(rng, self.least(), seq_len);
        let (story, fact) = Story::before_question(self.grammar(), tokens as usize, rng);
        let (line, _) = fact.kind.ask(fact.subject, fact.value);
        let (question, answer) = line.split_at(fact.kind.question(fact.subject).len());
        let ids = |text: &str| text.bytes().map(u32::from).collect::<Vec<u32>>();
        prompt(ids(&(story + question)), &ids(answer.trim_end()))
    }

    /// Tokens of the shortest sequence with a fact and a question about it.
    fn least(&self) -> u32 {
        (self.grammar().longest(Kind::tell) + self.grammar().longest(Kind::ask)) as u32
    }

    fn grammar(&self) -> &'static Grammar {
        match self.language {
            Language::English => &english::GRAMMAR,
            Language::Korean => &korean::GRAMMAR,
        }
    }
}

/// A story in progress.
struct Story<'a> {
    grammar: &'static Grammar,
    rng: &'a mut ChaCha8Rng,
    seq_len: usize,
    longest_fact: usize,
    longest_question: usize,
    text: String,
    untold: Vec<Fact>,
    told: Vec<Told>,
    answers: Vec<Answer>,
}

#[derive(Clone, Copy)]
struct Fact {
    kind: &'static Kind,
    subject: &'static str,
    value: &'static str,
}

/// A fact that can be asked for.
struct Told {
    fact: Fact,
    /// Where the last telling has its value.
    value_at: usize,
    /// Where the story is to ask for it.
    due: usize,
}

impl<'a> Story<'a> {
    fn new(grammar: &'static Grammar, seq_len: usize, rng: &'a mut ChaCha8Rng) -> Self {
        let subjects: Vec<_> = grammar.subjects().collect();
        let [longest_fact, longest_question] = [grammar.longest(Kind::tell), grammar.longest(Kind::ask)];
        // With that many facts, questions about them fill a short story.
        let facts = (seq_len / (2 * longest_question)).max(1);
        let order = shuffled(rng, subjects.len() as u32);
        let fact = |i: u32| {
            let (kind, subject) = subjects[i as usize];
            Fact { kind, subject, value: kind.values[below(rng, VALUES as u32) as usize] }
        };
        let untold = order.into_iter().take(facts).map(fact).collect();
        Story { grammar, rng, seq_len, longest_fact, longest_question, text: String::new(), untold, told: Vec::new(), answers: Vec::new() }
    }

    /// A story and a fact that it has told. With the question about it and the answer it has `seq_len` tokens at most, and one that is only a
    /// label.
    fn before_question(grammar: &'static Grammar, seq_len: usize, rng: &'a mut ChaCha8Rng) -> (String, Fact) {
        let question = grammar.longest(Kind::ask);
        let line = grammar.scenery.iter().map(|line| line.len()).chain([question, grammar.longest(Kind::tell)]).max().unwrap_or(question);
        let mut story = Story::new(grammar, seq_len, rng);
        story.go_on();
        while story.text.len() + line + question <= seq_len + 1 {
            story.go_on();
        }
        let told = below(story.rng, story.told.len() as u32) as usize;
        (story.text, story.told[told].fact)
    }

    /// Appends a line: the question that has been due longest, or else a new fact or scenery.
    fn go_on(&mut self) {
        let first_due = (0..self.told.len()).min_by_key(|&i| self.told[i].due).filter(|&i| self.told[i].due <= self.text.len());
        if let Some(i) = first_due {
            let Told { fact, value_at: told_at, .. } = self.told.swap_remove(i);
            let value_at = self.append(fact, Kind::ask);
            // The label of a position is the token behind it.
            let positions = value_at as u32 - 1..(value_at + fact.value.len()) as u32 - 1;
            self.answers.push(Answer { distance: positions.start - told_at as u32, positions });
        } else if let Some(fact) = self.untold.pop() {
            self.append(fact, Kind::tell);
        } else {
            self.text += self.grammar.scenery[below(self.rng, self.grammar.scenery.len() as u32) as usize];
        }
    }

    /// Appends a line that tells a fact, which is then to be asked for. Returns where its value is.
    fn append(&mut self, fact: Fact, line: fn(&Kind, &str, &str) -> (String, usize)) -> usize {
        let (line, value_in_line) = line(fact.kind, fact.subject, fact.value);
        let value_at = self.text.len() + value_in_line;
        self.text += &line;
        let due = self.text.len() + self.wait();
        self.told.push(Told { fact, value_at, due });
        value_at
    }

    /// Draws the tokens until the question about a fact: of all that remain, uⁿ for a uniform u. n is 2 where the sequence is short. Where
    /// it is long, n keeps so many questions due that they fill the story; some of them still go back across all of it.
    fn wait(&mut self) -> usize {
        // A question that is due within a line comes behind it.
        let room = self.seq_len.saturating_sub(self.text.len() + self.longest_fact + self.longest_question);
        let uniform = f64::from(self.rng.next_u32()) / 4_294_967_296.0;
        let asked_in_turn = self.longest_question * (self.told.len() + self.untold.len() + 1);
        let exponent = (room / asked_in_turn).max(2);
        (room as f64 * (0..exponent).fold(1.0, |power, _| power * uniform)) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    const LANGUAGES: [Language; 2] = [Language::English, Language::Korean];

    fn example(language: Language, seq_len: u32, seed: u64) -> Example {
        StoriesTask { language }.sequence(seq_len, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    fn grammar(language: Language) -> &'static Grammar {
        StoriesTask { language }.grammar()
    }

    fn bytes(ids: &[u32]) -> Vec<u8> {
        ids.iter().map(|&id| u8::try_from(id).unwrap()).collect()
    }

    /// What a line says.
    struct Said {
        /// The question in it, if there is one, and the sentence that tells the fact.
        sentences: Vec<String>,
        value: &'static str,
        is_question: bool,
    }

    /// Every line that tells a fact, by its text, with the kind and the subject.
    fn lines(language: Language) -> HashMap<String, (usize, &'static str, Said)> {
        let mut lines = HashMap::new();
        for (kind, number) in grammar(language).kinds.iter().zip(0..) {
            for (&subject, value) in kind.subjects.iter().flat_map(|subject| kind.values.map(|value| (subject, value))) {
                for (is_question, (line, at)) in [(false, kind.tell(subject, value)), (true, kind.ask(subject, value))] {
                    assert!(line[at..].starts_with(value));
                    let said =
                        Said { sentences: line.trim_end().split_inclusive(['?', '.']).map(str::to_owned).collect(), value, is_question };
                    assert!(lines.insert(line, (number, subject, said)).is_none(), "two facts have one sentence");
                }
            }
        }
        lines
    }

    /// Reads a story as a listener would, who knows the sentences and nothing of how it was made.
    fn listen(language: Language, example: &Example, mut answered: impl FnMut(usize, &'static str)) -> usize {
        let lines = lines(language);
        let scenery = grammar(language).scenery;
        let text = bytes(&example.ids);
        let mut answers = example.answers.iter();
        let mut known: HashMap<(usize, &str), (&str, usize)> = HashMap::new();
        let mut at = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let line = std::str::from_utf8(line).unwrap();
            match lines.get(line) {
                Some((kind, subject, said)) => {
                    let value_at = at + line.rfind(said.value).unwrap();
                    let before = known.insert((*kind, subject), (said.value, value_at));
                    if said.is_question {
                        let (value, told_at) = before.expect("what is asked for was told");
                        assert_eq!(value, said.value);
                        assert_eq!(said.sentences.len(), 2, "{line}");
                        let answer = answers.next().unwrap();
                        let positions = answer.positions.start as usize..answer.positions.end as usize;
                        assert_eq!(bytes(&example.labels[positions]), value.as_bytes());
                        assert_eq!(answer.positions.start as usize + 1, value_at);
                        assert_eq!(answer.distance as usize, value_at - 1 - told_at);
                        answered(*kind, value);
                    } else {
                        assert!(before.is_none(), "a fact is told once: {line}");
                    }
                }
                None => assert!(scenery.contains(&line), "{line}"),
            }
            at += line.len();
        }
        // An answer may be whole although its line is not.
        assert!(answers.len() <= 1);
        at
    }

    #[test]
    fn every_sentence_is_of_the_grammar_and_every_answer_was_told() {
        for language in LANGUAGES {
            for seed in 0..20 {
                let example = example(language, 1024, seed);
                assert_eq!((example.ids.len(), example.labels.len()), (1024, 1024));
                assert_eq!(example.ids[1..], example.labels[..1023]);
                let whole = listen(language, &example, |_, _| ());
                assert!(whole > 1024 - 120, "whole lines end at {whole}");
            }
        }
        assert_eq!(example(Language::English, 1024, 3), example(Language::English, 1024, 3));
        assert_ne!(example(Language::English, 1024, 3), example(Language::English, 1024, 4));
    }

    #[test]
    fn no_answer_is_likelier_than_another() {
        for language in LANGUAGES {
            let mut counts: HashMap<usize, HashMap<&str, u32>> = HashMap::new();
            for seed in 0..600 {
                listen(language, &example(language, 1024, seed), |kind, value| {
                    *counts.entry(kind).or_default().entry(value).or_default() += 1;
                });
            }
            for (kind, values) in counts {
                let (all, most) = (values.values().sum::<u32>(), *values.values().max().unwrap());
                assert!(values.len() == VALUES && f64::from(most) < 1.3 * StoriesTask::CHANCE * f64::from(all), "kind {kind}: {values:?}");
            }
        }
    }

    #[test]
    fn distances_are_spread_over_the_sequence() {
        for (language, seq_len) in [(LANGUAGES[0], 1024), (LANGUAGES[1], 1024), (LANGUAGES[0], 16_384)] {
            let examples = 40_960 / seq_len;
            let distances: Vec<u32> =
                (0..u64::from(examples)).flat_map(|seed| example(language, seq_len, seed).answers).map(|answer| answer.distance).collect();
            let share = |from: u32| distances.iter().filter(|&&distance| distance >= from).count() as f64 / distances.len() as f64;
            assert!(share(128) < 0.9 && share(128) > 0.4 && share(256) > 0.2, "{language:?}, {seq_len}");
            assert!(
                distances.iter().filter(|&&distance| distance >= seq_len / 2).count() as u32 >= examples / 2,
                "{language:?}, {seq_len}"
            );
            // Questions fill the story: one in a hundred tokens or more.
            assert!(distances.len() as u32 * 100 >= examples * seq_len, "{language:?}, {seq_len}: {}", distances.len());
        }
    }

    #[test]
    fn values_of_a_kind_differ_in_their_first_character() {
        for kind in LANGUAGES.into_iter().flat_map(|language| grammar(language).kinds) {
            let mut first: Vec<char> = kind.values.iter().filter_map(|value| value.chars().next()).collect();
            first.sort_unstable();
            first.dedup();
            assert_eq!(first.len(), VALUES, "{kind:?}");
        }
    }

    #[test]
    fn the_shortest_sequence_has_an_answer() {
        for language in LANGUAGES {
            let task = StoriesTask { language };
            let said = task.check(1).unwrap_err().to_string();
            let least: u32 = said.split(' ').find_map(|word| word.parse().ok()).unwrap();
            assert!(said.contains("stories need sequences of") && task.check(least - 1).is_err() && task.check(least).is_ok());
            assert!((0..50).all(|seed| !example(language, least, seed).answers.is_empty()));
        }
    }
}
