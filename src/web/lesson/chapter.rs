//! A chapter, as it stands in its file.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::web::route::Route;

/// The files, in the order of the lesson.
const FILES: [&str; 8] = [
    include_str!("../../../www/lesson/1-peak.json"),
    include_str!("../../../www/lesson/2-growth.json"),
    include_str!("../../../www/lesson/3-checkpointing.json"),
    include_str!("../../../www/lesson/4-chunks.json"),
    include_str!("../../../www/lesson/5-bits.json"),
    include_str!("../../../www/lesson/6-clocks.json"),
    include_str!("../../../www/lesson/7-reach.json"),
    include_str!("../../../www/lesson/8-recall.json"),
];

static CHAPTERS: LazyLock<Vec<Chapter>> = LazyLock::new(|| FILES.iter().map(|file| Chapter::parse(file)).collect());

/// All chapters.
pub fn chapters() -> &'static [Chapter] {
    &CHAPTERS
}

/// A chapter: data, and its words in every language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chapter {
    /// Its name.
    pub name: String,
    /// What it shows, with its control.
    pub picture: Picture,
    /// The name of the view that shows more of it.
    route: String,
    /// What is asked.
    pub question: Question,
    en: Words,
    ko: Words,
}

/// A picture with its control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Picture {
    /// The memory of a standard step, with the moment as its control.
    Mountain,
    /// The bytes of activations over the sequence length.
    Growth,
    /// Standard back-propagation beside checkpointing.
    Strategies,
    /// A step of StreamBP, with the chunk length.
    Chunks,
    /// The gradients of all strategies, compared bit by bit.
    Bits,
    /// The time of a step under every strategy.
    Clocks,
    /// How far each strategy goes in a budget.
    Reach,
    /// What is learned of facts that lie far back.
    Recall,
}

/// What is asked, and what is right.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// One of some answers.
    Choice {
        /// The place of the right one.
        right: usize,
    },
    /// A number, which is dragged.
    Number {
        /// What is right.
        truth: Truth,
        /// The least number that can be guessed.
        low: f64,
        /// The largest one.
        high: f64,
        /// From one number to the next.
        step: f64,
    },
}

/// A number that is computed or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truth {
    /// The activations' bytes at 8,192 tokens, as a multiple of those at 512.
    Growth,
    /// The peak of StreamBP at 8,192 tokens in MiB.
    StreamPeak,
    /// The time of a StreamBP step as a multiple of a checkpointing step.
    Slowdown,
    /// The longest sequence of StreamBP in the lesson's budget, in tokens.
    Longest,
}

/// The words of a chapter in one language. `{…}` are places for facts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The title.
    pub title: String,
    /// What is to be learned.
    pub sentence: String,
    /// What the control does.
    pub control: String,
    /// What is asked.
    pub question: String,
    /// The answers to choose from, if it is a choice.
    #[serde(default)]
    pub answers: Vec<String>,
    /// A guess with its unit, at the place `{value}`, if it is a number.
    #[serde(default)]
    pub unit: String,
    /// What is right, and why.
    pub reveal: String,
    /// Where there is more of it.
    pub look: String,
    /// For a teacher.
    pub notes: String,
}

impl Chapter {
    fn parse(file: &str) -> Chapter {
        serde_json::from_str(file).expect("a test reads all chapters")
    }

    /// Its words in a language; in English if it has no others.
    pub fn words(&self, language: &str) -> &Words {
        if language == "ko" { &self.ko } else { &self.en }
    }

    /// The view that shows more of it.
    pub fn route(&self) -> Route {
        Route::ALL.into_iter().find(|route| route.name() == self.route).expect("a test reads all chapters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::lesson::Facts;

    /// The places for facts in a text.
    fn places(text: &str) -> Vec<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn every_chapter_is_whole_in_every_language() {
        let known: Vec<&str> = Facts::NAMES.to_vec();
        let files: Vec<_> =
            std::fs::read_dir("www/lesson").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files.iter().filter(|name| name.as_bytes()[0].is_ascii_digit()).count(), chapters().len(), "a file is not in the list");
        for chapter in chapters() {
            chapter.route();
            for language in ["en", "ko"] {
                let words = chapter.words(language);
                let all = [&words.title, &words.sentence, &words.control, &words.question, &words.reveal, &words.look, &words.notes];
                assert!(all.iter().all(|text| !text.is_empty()), "{} {language}", chapter.name);
                for place in all.iter().flat_map(|text| places(text)) {
                    assert!(known.contains(&place), "{} {language}: {{{place}}}", chapter.name);
                }
                match chapter.question {
                    Question::Choice { right } => assert!(words.answers.len() == 3 && right < 3 && words.unit.is_empty()),
                    Question::Number { low, high, step, .. } => {
                        assert!(words.answers.is_empty() && places(&words.unit) == ["value"] && words.reveal.contains("{truth}"));
                        assert!(low < high && step > 0.0 && ((high - low) / step).fract().abs() < 1e-9);
                    }
                }
            }
        }
    }

    #[test]
    fn chapters_have_names_of_their_own() {
        let mut names: Vec<&str> = chapters().iter().map(|chapter| chapter.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FILES.len());
    }
}
