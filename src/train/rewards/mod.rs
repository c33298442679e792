//! What a completion is worth: functions of its text and of the columns of its prompt's row, with TRL's names.

#[cfg(not(target_arch = "wasm32"))]
mod command;
mod group;
mod pattern;
mod settings;

pub use group::Group;
pub use settings::{RewardKind, RewardSettings};

use serde_json::{Map, Value};

use crate::error::{Error, Result, shortened};
use pattern::Pattern;

/// The column that [`RewardKind::Answer`] compares with.
const ANSWER: &str = "answer";

/// The reward functions of a run, ready to score.
#[derive(Debug)]
pub struct Rewards(Vec<Weighted>);

#[derive(Debug)]
struct Weighted {
    name: String,
    function: Function,
    weight: f64,
}

#[derive(Debug)]
enum Function {
    Answer,
    Prefix,
    Regex(Pattern),
    Length(u32),
    #[cfg(not(target_arch = "wasm32"))]
    Command(command::Command),
}

impl Rewards {
    /// Compiles the functions.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are none, with a pattern that is malformed, or with a command that cannot be run here.
    pub fn new(settings: &[RewardSettings]) -> Result<Self> {
        if settings.is_empty() {
            return Err(Error::Setting("nothing says what a completion is worth; give a reward".to_owned()));
        }
        let mut all: Vec<Weighted> = Vec::new();
        for one in settings {
            one.validate()?;
            let of_kind = all.iter().filter(|other| other.name.split('_').next() == Some(one.kind.name())).count();
            let name = if of_kind == 0 { one.kind.name().to_owned() } else { format!("{}_{}", one.kind.name(), of_kind + 1) };
            all.push(Weighted { name, function: Function::new(&one.kind)?, weight: one.weight });
        }
        Ok(Rewards(all))
    }

    /// The names of the functions in metrics, in order. Of several of one kind, the second has a 2 behind it, as `regex_2`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|one| one.name.as_str())
    }

    /// What each function gives each completion, all groups in order (functions×completions).
    ///
    /// # Errors
    /// [`Error::Data`] with the column that a row lacks, or with what a command did.
    pub fn score(&self, groups: &[Group]) -> Result<Vec<Vec<f64>>> {
        self.0.iter().map(|one| one.function.score(groups)).collect()
    }

    /// The weighted sum over functions for each completion, of what [`Rewards::score`] gave.
    pub fn total(&self, scores: &[Vec<f64>]) -> Vec<f64> {
        let completions = scores.first().map_or(0, Vec::len);
        let weighted = |at: usize| self.0.iter().zip(scores).map(|(one, scores)| one.weight * scores[at]).sum();
        (0..completions).map(weighted).collect()
    }
}

impl Function {
    fn new(kind: &RewardKind) -> Result<Self> {
        Ok(match kind {
            RewardKind::Answer => Function::Answer,
            RewardKind::Prefix => Function::Prefix,
            RewardKind::Regex(pattern) => Function::Regex(Pattern::new(pattern)?),
            RewardKind::Length(characters) => Function::Length(*characters),
            #[cfg(not(target_arch = "wasm32"))]
            RewardKind::Command { line, timeout } => Function::Command(command::Command::new(line, *timeout)?),
            #[cfg(target_arch = "wasm32")]
            RewardKind::Command { line, .. } => {
                return Err(Error::Setting(format!("a page cannot run the reward command {line}; go on with the program")));
            }
        })
    }

    fn score(&self, groups: &[Group]) -> Result<Vec<f64>> {
        let each = |of: &dyn Fn(&str) -> f64| Ok(groups.iter().flat_map(|group| &group.completions).map(|text| of(text)).collect());
        match self {
            Function::Answer => by_answer(groups, |text, answer| one_if(text == answer)),
            Function::Prefix => by_answer(groups, of_prefix),
            Function::Regex(pattern) => each(&|text| one_if(pattern.is_in(text))),
            Function::Length(wanted) => each(&|text| of_length(text, f64::from(*wanted))),
            #[cfg(not(target_arch = "wasm32"))]
            Function::Command(command) => command.score(groups),
        }
    }
}

/// What each completion is worth beside the answer of its row, white space around both apart.
fn by_answer(groups: &[Group], of: impl Fn(&str, &str) -> f64) -> Result<Vec<f64>> {
    let mut scores = Vec::new();
    for group in groups {
        let answer = answer(group)?;
        scores.extend(group.completions.iter().map(|text| of(text.trim(), answer.trim())));
    }
    Ok(scores)
}

fn of_prefix(text: &str, answer: &str) -> f64 {
    let right = text.chars().zip(answer.chars()).take_while(|(found, wanted)| found == wanted).count();
    right as f64 / answer.chars().count().max(1) as f64
}

fn one_if(is_right: bool) -> f64 {
    f64::from(u8::from(is_right))
}

fn of_length(text: &str, wanted: f64) -> f64 {
    1.0 - ((text.chars().count() as f64 - wanted).abs() / wanted).min(1.0)
}

/// What a row says is the answer: a text, or a number as JSON has it.
fn answer(group: &Group) -> Result<String> {
    match group.columns.get(ANSWER) {
        Some(Value::String(answer)) => Ok(answer.clone()),
        Some(Value::Number(answer)) => Ok(answer.to_string()),
        Some(_) => Err(Error::Data(format!(
            "the reward answer compares with a text, and the column \"{ANSWER}\" of the prompt {:?} is none; write it as one",
            shortened(&group.prompt, 60)
        ))),
        None => Err(Error::Data(format!(
            "the reward answer needs a column \"{ANSWER}\", and the row of the prompt {:?} has none ({}); add it, or choose another reward",
            shortened(&group.prompt, 60),
            columns(&group.columns)
        ))),
    }
}

fn columns(columns: &Map<String, Value>) -> String {
    match columns.is_empty() {
        true => "it has no columns".to_owned(),
        false => format!("its columns are {}", columns.keys().map(String::as_str).collect::<Vec<&str>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(answer: Value, completions: &[&str]) -> Group {
        let columns = [("answer".to_owned(), answer), ("prompt".to_owned(), "2 + 2".into())].into_iter().collect();
        Group { prompt: "2 + 2".to_owned(), columns, completions: completions.iter().map(|&text| text.to_owned()).collect() }
    }

    fn rewards(all: &[(&str, f64)]) -> Rewards {
        let settings: Vec<RewardSettings> =
            all.iter().map(|&(kind, weight)| RewardSettings { kind: kind.parse().unwrap(), weight }).collect();
        Rewards::new(&settings).unwrap()
    }

    #[test]
    fn every_function_gives_each_completion_a_number() {
        let rewards = rewards(&[("answer", 1.0), ("regex:^ ?[0-9]+$", 0.5), ("length:2", -1.0)]);
        let groups = [group("4".into(), &["4", " 4\n", "four", ""]), group(5.into(), &["5", "4"])];
        let scores = rewards.score(&groups).unwrap();
        assert_eq!(scores[0], [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(scores[1], [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(scores[2], [0.5, 0.5, 0.0, 0.0, 0.5, 0.5]);
        assert_eq!(rewards.total(&scores), [1.0, 0.5, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(rewards.score(&[]).unwrap(), [[], [], []] as [[f64; 0]; 3]);
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(["", "값", "값값", "값값값", "값값값값", "값값값값값"].map(|text| of_length(text, 2.0)), [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn a_prefix_is_as_long_as_it_is_right() {
        let found = rewards(&[("prefix", 1.0)]).score(&[group("abcd".into(), &["abcd\n", " abxd", "xbcd", "", "abcdef", "ab"])]).unwrap();
        assert_eq!(found[0], [1.0, 0.5, 0.0, 0.0, 1.0, 0.5]);
    }

    #[test]
    fn functions_of_one_kind_have_names_of_their_own() {
        let rewards = rewards(&[("regex:a", 1.0), ("answer", 1.0), ("regex:b", 1.0), ("regex:c", 1.0)]);
        assert_eq!(rewards.names().collect::<Vec<&str>>(), ["regex", "answer", "regex_2", "regex_3"]);
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let mut without = group("4".into(), &["4"]);
        without.columns.remove("answer");
        let said = rewards(&[("answer", 1.0)]).score(&[without]).unwrap_err().to_string();
        assert!(said.contains("a column \"answer\"") && said.contains("its columns are prompt"), "{said}");
        let said = rewards(&[("answer", 1.0)]).score(&[group(true.into(), &["4"])]).unwrap_err().to_string();
        assert!(said.contains("compares with a text"), "{said}");
        assert!(Rewards::new(&[]).unwrap_err().to_string().contains("give a reward"));
    }
}
