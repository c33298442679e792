//! What the visitor has set: texts as typed, and what they mean.

use super::protocol::{Data, Run};
use crate::error::{Error, Result};
use crate::model::{Config, Preset};
use crate::step::{BatchShape, Strategy, StrategyKind, TOKEN_TILE};
use crate::train::Settings;

/// Where the text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceChoice {
    /// This project's own source code.
    OwnSource,
    /// The recall task.
    Recall,
    /// The visitor's text.
    Text,
}

impl SourceChoice {
    /// All of them, in the order of the list.
    pub const ALL: [SourceChoice; 3] = [SourceChoice::OwnSource, SourceChoice::Recall, SourceChoice::Text];

    /// The value in the page's list.
    pub fn name(self) -> &'static str {
        match self {
            SourceChoice::OwnSource => "own-source",
            SourceChoice::Recall => "recall",
            SourceChoice::Text => "text",
        }
    }
}

/// Every field, as it was typed.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the controls of the page")]
pub struct Form {
    pub source: SourceChoice,
    pub preset: String,
    pub seq_len: String,
    pub batch: String,
    pub strategy: StrategyKind,
    pub chunk: String,
    pub logits_chunk: String,
    pub learning_rate: String,
    pub steps: String,
    pub sample_every: String,
    pub prompt: String,
}

/// What decides about memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The model.
    pub config: Config,
    /// The batch.
    pub shape: BatchShape,
    /// How the step is walked.
    pub strategy: Strategy,
    /// C and C' as typed, for the strategies that were not chosen.
    pub chunks: [u32; 2],
}

/// Steps between two validations.
const VALIDATE_EVERY: u64 = 10;

impl Default for Form {
    fn default() -> Self {
        let settings = Settings::default();
        Form {
            source: SourceChoice::OwnSource,
            preset: crate::model::PRESETS[0].name.to_owned(),
            seq_len: "1024".to_owned(),
            batch: "1".to_owned(),
            strategy: StrategyKind::Stream,
            chunk: "128".to_owned(),
            logits_chunk: "128".to_owned(),
            learning_rate: settings.learning_rate.to_string(),
            steps: settings.steps.to_string(),
            sample_every: "20".to_owned(),
            prompt: "pub fn ".to_owned(),
        }
    }
}

impl Form {
    /// What decides about memory.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense.
    pub fn plan(&self) -> Result<Plan> {
        let settings = self.settings()?;
        let chunks = [positive("chunk length", &self.chunk)?, positive("logits chunk", &self.logits_chunk)?];
        let shape = BatchShape::uniform(settings.batch, settings.seq_len);
        Ok(Plan { config: self.preset()?.config.clone(), shape, strategy: settings.strategy, chunks })
    }

    /// Everything that makes a run. `text` is what the visitor gave.
    ///
    /// # Errors
    /// A sentence about the field that makes no sense, or that a text is missing.
    pub fn run(&self, text: Option<String>) -> Result<Run> {
        let data = match self.source {
            SourceChoice::OwnSource => Data::OwnSource,
            SourceChoice::Recall => Data::Recall,
            SourceChoice::Text => Data::Text(text.ok_or_else(|| Error::Data(super::texts::NO_TEXT.to_owned()))?),
        };
        Ok(Run {
            preset: self.preset()?.name.to_owned(),
            settings: self.settings()?,
            data,
            validate_every: VALIDATE_EVERY,
            sample_every: u64::from(whole("number of steps between samples", &self.sample_every)?),
            prompt: self.prompt.clone(),
        })
    }

    fn preset(&self) -> Result<&'static Preset> {
        Preset::named(&self.preset).ok_or_else(|| Error::Setting(format!("there is no preset \"{}\"", self.preset)))
    }

    fn settings(&self) -> Result<Settings> {
        let [chunk, logits_chunk] = [positive("chunk length", &self.chunk)?, positive("logits chunk", &self.logits_chunk)?];
        let learning_rate = number("learning rate", &self.learning_rate)?;
        let settings = Settings {
            seq_len: positive("sequence length", &self.seq_len)?,
            batch: positive("batch", &self.batch)?,
            strategy: Strategy::new(self.strategy, chunk, logits_chunk),
            learning_rate,
            min_learning_rate: learning_rate / 10.0,
            steps: u64::from(positive("number of steps", &self.steps)?),
            ..Settings::default()
        };
        settings.validate()?;
        Ok(settings)
    }
}

/// The length to which a chunk is rounded up, if what was typed is no whole number of token tiles.
pub fn rounded_up(typed: &str) -> Option<u32> {
    let length: u32 = typed.trim().parse().ok().filter(|&length| length > 0)?;
    let rounded = length.div_ceil(TOKEN_TILE).checked_mul(TOKEN_TILE)?;
    (rounded != length).then_some(rounded)
}

fn whole(what: &str, typed: &str) -> Result<u32> {
    typed.trim().parse().map_err(|_| Error::Setting(format!("the {what} is \"{typed}\"; it must be a whole number")))
}

fn positive(what: &str, typed: &str) -> Result<u32> {
    match whole(what, typed)? {
        0 => Err(Error::Setting(format!("the {what} must be 1 or more"))),
        value => Ok(value),
    }
}

fn number(what: &str, typed: &str) -> Result<f64> {
    typed.trim().parse().map_err(|_| Error::Setting(format!("the {what} is \"{typed}\"; it must be a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_makes_a_run() {
        let run = Form::default().run(None).unwrap();
        assert_eq!((run.settings.seq_len, run.data), (1024, Data::OwnSource));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let form = Form { chunk: "a".to_owned(), ..Form::default() };
        assert_eq!(form.plan().unwrap_err().to_string(), "the chunk length is \"a\"; it must be a whole number");
        let form = Form { batch: "0".to_owned(), ..Form::default() };
        assert_eq!(form.plan().unwrap_err().to_string(), "the batch must be 1 or more");
        assert!(Form { source: SourceChoice::Text, ..Form::default() }.run(None).is_err());
    }

    #[test]
    fn chunks_are_rounded_up_to_whole_tiles() {
        assert_eq!(rounded_up("100"), Some(128));
        assert_eq!(rounded_up("128"), None);
        assert_eq!(rounded_up("0"), None);
        assert_eq!(rounded_up("4294967295"), None);
    }
}
