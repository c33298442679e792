//! The grammar of stories: kinds of facts, each with its sentences.

/// The sentences of a language. `{s}` in a template stands for the subject, `{v}` for the value. Of a Korean pair of particles behind one
/// of them, such as `은/는`, a sentence has the one that goes with the word.
#[derive(Debug)]
pub struct Grammar {
    /// The kinds of facts.
    pub kinds: &'static [Kind],
    /// Sentences that tell no fact, each a line.
    pub scenery: &'static [&'static str],
}

/// A kind of fact: each of its subjects has one of its values.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// What is told of.
    pub subjects: &'static [&'static str],
    /// What is told of it, each as likely. They begin with different characters, so that the first one decides.
    pub values: [&'static str; VALUES],
    /// The sentence that tells the fact.
    pub fact: &'static str,
    /// The question, which does not contain the value.
    pub question: &'static str,
    /// The sentence that answers it.
    pub answer: &'static str,
}

/// The number of values of each kind: a random answer is right once in that many.
pub const VALUES: usize = 6;

impl Kind {
    /// A line that tells the fact, and where the value is, in bytes.
    pub fn tell(&self, subject: &str, value: &str) -> (String, usize) {
        let (line, at) = fill(self.fact, subject, value);
        (line + "\n", at)
    }

    /// The question.
    pub fn question(&self, subject: &str) -> String {
        fill(self.question, subject, "").0
    }

    /// A line with the question and its answer, and where the value is, in bytes.
    pub fn ask(&self, subject: &str, value: &str) -> (String, usize) {
        let (line, at) = fill(&format!("{} {}", self.question, self.answer), subject, value);
        (line + "\n", at)
    }
}

impl Grammar {
    /// All kinds with each of their subjects.
    pub fn subjects(&self) -> impl Iterator<Item = (&'static Kind, &'static str)> {
        self.kinds.iter().flat_map(|kind| kind.subjects.iter().map(move |&subject| (kind, subject)))
    }

    /// Bytes of the longest line that `line` makes of any subject with any value.
    pub fn longest(&self, line: fn(&Kind, &str, &str) -> (String, usize)) -> usize {
        let lines = self.subjects().flat_map(|(kind, subject)| kind.values.map(|value| line(kind, subject, value).0.len()));
        lines.max().expect("a grammar has facts")
    }
}

/// Fills a template, and returns where the value is, in bytes; without one, where the sentence ends.
fn fill(template: &str, subject: &str, value: &str) -> (String, usize) {
    let (mut sentence, mut value_at) = (String::new(), None);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, after) = after.split_once('}').expect("a brace is closed");
        sentence += before;
        let word = match slot {
            "s" => subject,
            "v" => {
                value_at = Some(sentence.len());
                value
            }
            _ => unreachable!("the slot {slot}"),
        };
        sentence += word;
        let pair = PARTICLES.into_iter().find(|[closed, open]| after.starts_with(&format!("{closed}/{open}")));
        sentence += pair.map_or("", |pair| particle(word, pair));
        rest = pair.map_or(after, |[closed, open]| &after[closed.len() + 1 + open.len()..]);
    }
    sentence += rest;
    let end = sentence.len();
    (sentence, value_at.unwrap_or(end))
}

/// Pairs of Korean particles: for words that end in a consonant, and for others.
const PARTICLES: [[&str; 2]; 3] = [["은", "는"], ["이", "가"], ["을", "를"]];

/// The particle of a pair that goes with a Korean word.
fn particle(word: &str, [closed, open]: [&'static str; 2]) -> &'static str {
    // In Unicode the syllables stand in blocks of 28, of which the first has no final consonant.
    let last = word.chars().last().expect("a word has a syllable");
    if (u32::from(last) - u32::from('가')).is_multiple_of(28) { open } else { closed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_go_with_the_final_consonant() {
        let fact = |subject, value| fill("{s}은/는 {v}을/를 좋아한다.", subject, value);
        assert_eq!(fact("미나", "빵"), ("미나는 빵을 좋아한다.".to_owned(), 10));
        assert_eq!(fact("지훈", "우유").0, "지훈은 우유를 좋아한다.");
        assert_eq!(fill("{s}이/가 {v}에 있다.", "지훈", "공원").0, "지훈이 공원에 있다.");
        assert_eq!(fill("{s}이/가 {v}에 있다.", "미나", "바다").0, "미나가 바다에 있다.");
        assert_eq!(fill("Where is {s}?", "Mia", "park"), ("Where is Mia?".to_owned(), 13));
    }
}
