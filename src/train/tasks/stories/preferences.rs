//! The preferences task: a story that ends with a question, and two answers to it, of which one is right.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::random::below;
use super::grammar::{Grammar, VALUES};
use super::{Fact, Language, StoriesTask, Story};
use crate::error::Result;
use crate::text::Document;

/// Pairs there are: what the reference says of them is computed before the first step.
const PAIRS: u32 = 512;

/// The preferences task: stories, each with a question and two answers. The chosen one is right, the rejected one has another value that is
/// as likely. Labels are the tokens of the answers. There are 512 pairs, the same ones in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreferencesTask {
    /// The language.
    pub language: Language,
}

impl PreferencesTask {
    /// The names of the task, as the program's `--data` takes them.
    pub const NAMES: [&str; 2] = ["preferences", "preferences-ko"];

    /// The task of a name.
    pub fn named(name: &str) -> Option<PreferencesTask> {
        let languages = [Language::English, Language::Korean];
        Self::NAMES.into_iter().zip(languages).find(|(own, _)| *own == name).map(|(_, language)| PreferencesTask { language })
    }

    /// Its pairs: the chosen and the rejected sequence of each.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) with the length that a sequence needs.
    pub(in crate::train) fn pairs(self, seq_len: u32) -> Result<Vec<[Document; 2]>> {
        let stories = StoriesTask { language: self.language };
        stories.check(seq_len)?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        Ok((0..PAIRS).map(|_| pair(stories.grammar(), seq_len as usize, &mut rng)).collect())
    }
}

fn pair(grammar: &'static Grammar, seq_len: usize, rng: &mut ChaCha8Rng) -> [Document; 2] {
    let (story, fact) = Story::before_question(grammar, seq_len, rng);
    let right = fact.kind.values.iter().position(|&value| value == fact.value).expect("a fact has a value of its kind");
    let wrong = (right + 1 + below(rng, VALUES as u32 - 1) as usize) % VALUES;
    [right, wrong].map(|value| answered(&story, Fact { value: fact.kind.values[value], ..fact }))
}

/// A story, the question about a fact, and that fact as the answer.
fn answered(story: &str, fact: Fact) -> Document {
    let (line, _) = fact.kind.ask(fact.subject, fact.value);
    let answer = story.len() + fact.kind.question(fact.subject).len();
    let ids: Vec<u32> = story.bytes().chain(line.bytes()).map(u32::from).collect();
    Document { assistant_mask: (0..ids.len()).map(|at| at >= answer).collect(), ids }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(document: &Document) -> (String, String) {
        let bytes = |answers: bool| -> Vec<u8> {
            document.ids.iter().zip(&document.assistant_mask).filter(|(_, mask)| **mask == answers).map(|(&id, _)| id as u8).collect()
        };
        (String::from_utf8(bytes(false)).unwrap(), String::from_utf8(bytes(true)).unwrap())
    }

    #[test]
    fn the_chosen_answer_was_told_and_the_rejected_one_was_not() {
        for (name, seq_len) in PreferencesTask::NAMES.into_iter().flat_map(|name| [(name, 128), (name, 512)]) {
            let pairs = PreferencesTask::named(name).unwrap().pairs(seq_len).unwrap();
            assert_eq!(pairs.len(), PAIRS as usize);
            let mut longest = 0;
            for [chosen, rejected] in &pairs {
                let ((prompt, right), (same, wrong)) = (parts(chosen), parts(rejected));
                assert!(prompt == same && prompt.ends_with('?') && right != wrong, "{prompt}");
                let told = |answer: &str| prompt.lines().any(|line| line.contains(answer.trim()));
                // In Korean a fact and an answer are not worded alike.
                assert!(name.ends_with("ko") || (told(&right) && !told(&wrong)), "{prompt}{right}");
                assert!(chosen.ids.len().max(rejected.ids.len()) <= seq_len as usize + 1, "{prompt}");
                longest = longest.max(chosen.ids.len());
            }
            assert!(longest * 4 > seq_len as usize * 3, "{name}: {longest} of {seq_len}");
            assert_ne!(pairs[0], pairs[1]);
        }
    }

    #[test]
    fn wrong_values_are_as_likely_as_each_other() {
        let pairs = PreferencesTask { language: Language::English }.pairs(128).unwrap();
        let ends: std::collections::HashSet<String> = pairs.iter().map(|[_, rejected]| parts(rejected).1).collect();
        assert!(ends.len() > 50, "{}", ends.len());
    }

    #[test]
    fn a_sequence_that_is_too_short_says_how_long_it_must_be() {
        let said = PreferencesTask::named("preferences").unwrap().pairs(9).unwrap_err().to_string();
        assert!(said.contains("stories need sequences of"), "{said}");
        assert_eq!(PreferencesTask::named("stories"), None);
    }
}
