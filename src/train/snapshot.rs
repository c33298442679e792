//! Snapshots: the state from which a run can be resumed.

use std::collections::HashMap;
use std::fmt::Display;

use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use serde_json::{Map, Value};

use super::{Round, Settings};
use crate::error::{Error, Result};
use crate::model::weights::{as_f32, f32_safetensors};
use crate::model::{Config, ModelSpec, Parameter, Parameters, Weights};

/// The identity of a run: what its results depend on.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunId {
    /// The model, and which of its parameters are trainable.
    pub spec: ModelSpec,
    /// The settings.
    pub settings: Settings,
    /// The fingerprint of the dataset.
    pub data: u64,
    /// The fingerprint of the frozen weights, if there are any.
    #[serde(default)]
    pub frozen: Option<u64>,
}

/// The state of a run after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The run.
    pub run: RunId,
    /// The number of completed steps.
    pub step: u64,
    /// The trainable parameters.
    pub weights: Weights,
    /// AdamW's first and second moments.
    pub moments: [Weights; 2],
    /// The completions that the next step goes on with, if it samples no new ones.
    pub round: Option<Round>,
}

/// The field of a file that has the completions.
const ROUND: &str = "completions";

/// What a file has of each trainable parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Its value.
    Value,
    /// AdamW's first or second moment of it: 0 or 1.
    Moment(usize),
}

impl Kept {
    pub const ALL: [Kept; 3] = [Kept::Value, Kept::Moment(0), Kept::Moment(1)];

    /// The name of its tensor.
    pub fn name(self, parameter: &Parameter) -> String {
        match self {
            Kept::Value => parameter.name.clone(),
            Kept::Moment(which) => format!("moment{}.{}", which + 1, parameter.name),
        }
    }
}

/// What a file says of a run in its text fields.
pub(super) struct Fields {
    pub run: RunId,
    pub step: u64,
    pub round: Option<Round>,
}

impl Fields {
    /// The fields, by their names.
    pub fn write(run: &RunId, step: u64, round: Option<&Round>) -> HashMap<String, String> {
        let run = serde_json::to_string(run).expect("a run can be written as JSON");
        let round = round.map(|round| serde_json::to_string(round).expect("it is plain data"));
        let all = [("run", Some(run)), ("step", Some(step.to_string())), (ROUND, round)];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Reads them from a file's header. `path` is for error messages.
    pub fn read(path: &str, header: &Metadata) -> Result<Fields> {
        let broken = |problem: String| Error::Checkpoint { path: path.to_owned(), problem };
        let if_any = |name: &str| header.metadata().as_ref().and_then(|fields| fields.get(name));
        let field =
            |name: &str| if_any(name).ok_or_else(|| broken(format!("has no field \"{name}\", so it was not written by a training run")));
        let run = read_run(field("run")?).map_err(|e| broken(format!("names a run that cannot be read ({e})")))?;
        run.spec.config.validate()?;
        let round = if_any(ROUND).map(|json| serde_json::from_str(json)).transpose();
        let round = round.map_err(|e| broken(format!("has completions that cannot be read ({e})")))?;
        let step = field("step")?.parse().map_err(|_| broken("names no valid step".to_owned()))?;
        Ok(Fields { run, step, round })
    }
}

/// Checks that a run may resume from what another one has left after that step. Returns a note on each setting that differs and may.
pub(super) fn check_run(path: &str, (before, step): (&RunId, u64), run: &RunId) -> Result<Vec<String>> {
    let refuse = |problem: String| Err(Error::Checkpoint { path: path.to_owned(), problem });
    let (changes, allowed) = changes(before, run);
    if !changes.is_empty() {
        return refuse(format!("is of a run with {}; give the same, or start another run in another directory", changes.join(" and ")));
    }
    if step > run.settings.steps {
        return refuse(format!("is of step {step}, after the {} steps of this run; give more steps", run.settings.steps));
    }
    Ok(allowed)
}

/// A file that was cut off, or is of another kind.
pub(super) fn incomplete(path: &str, problem: impl Display) -> Error {
    let problem = format!("is no complete safetensors file ({problem}); start without --resume");
    Error::Checkpoint { path: path.to_owned(), problem }
}

/// A file without one of its tensors.
pub(super) fn lacks(path: &str, name: &str) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem: format!("lacks the tensor {name}, or has it in another shape") }
}

impl Snapshot {
    /// Encodes the snapshot as a safetensors file: parameters under their names, moments with the prefixes `moment1.` and `moment2.`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parameters = Parameters::new(&self.run.spec);
        let sets = [&self.weights, &self.moments[0], &self.moments[1]];
        let tensors = Kept::ALL.iter().zip(sets).flat_map(|(kept, set)| {
            parameters.trainable().map(move |(_, p)| (kept.name(p), p.shape(), set.get(&p.name))).collect::<Vec<_>>()
        });
        let fields = Fields::write(&self.run, self.step, self.round.as_ref());
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        f32_safetensors(tensors, &fields)
    }

    /// Decodes a file of [`Snapshot::to_bytes`]. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file is damaged, or not a snapshot; [`Error::Config`] if its model is invalid.
    pub fn from_bytes(path: &str, bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| incomplete(path, e))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| incomplete(path, e))?;
        let Fields { run, step, round } = Fields::read(path, &header)?;
        let parameters = Parameters::new(&run.spec);
        let set = |kept: Kept| -> Result<Weights> {
            let read = |name: String, len: usize| {
                let values = file.tensor(&name).ok().and_then(|view| as_f32(&view)).filter(|values| values.len() == len);
                values.ok_or_else(|| lacks(path, &name))
            };
            let trained = || parameters.trainable().map(|(_, parameter)| parameter);
            let values = trained().map(|p| read(kept.name(p), p.elements())).collect::<Result<Vec<_>>>()?;
            Ok(Weights::of(trained(), values))
        };
        let [value, first, second] = Kept::ALL;
        Ok(Snapshot { run, step, weights: set(value)?, moments: [set(first)?, set(second)?], round })
    }

    /// Checks that a run may resume from the snapshot. `path` is for error messages. Returns a note on each setting that differs and may:
    /// the strategy, which changes no bits, and the schedule.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] names what differs and must not.
    pub fn check_run(&self, path: &str, run: &RunId) -> Result<Vec<String>> {
        check_run(path, (&self.run, self.step), run)
    }
}

/// What differs between the run of a snapshot and the one that resumes from it: what must not, and what may.
fn changes(before: &RunId, now: &RunId) -> (Vec<String>, Vec<String>) {
    let (mut refused, mut allowed) = (Vec::new(), Vec::new());
    if before.spec.config != now.spec.config {
        let fields = differing_fields(&before.spec.config, &now.spec.config);
        refused.push(format!("another model ({})", fields.join(", ")));
    } else if before.spec.activation_dtype != now.spec.activation_dtype {
        refused.push("another dtype of activations".to_owned());
    } else if before.spec != now.spec {
        refused.push("other adapters, or another dtype of frozen weights".to_owned());
    } else if before.frozen.is_some() && before.frozen != now.frozen {
        refused.push("other base weights".to_owned());
    }
    if before.data != now.data {
        refused.push("other data".to_owned());
    }
    // All fields are named, so that whoever adds one has to decide whether it may change.
    #[rustfmt::skip]
    let Settings {
        seq_len, batch, accumulate, strategy, learning_rate, min_learning_rate, warmup, steps, weight_decay, max_grad_norm,
        beta1, beta2, adam_epsilon, seed, objective, roll_outs,
    } = &before.settings;
    let s = &now.settings;
    let fixed = [
        difference("a sequence length of", seq_len, &s.seq_len),
        difference("a batch of", batch, &s.batch),
        difference("an accumulation of", accumulate, &s.accumulate),
        difference("a weight decay of", weight_decay, &s.weight_decay),
        difference("a clipping norm of", max_grad_norm, &s.max_grad_norm),
        difference("a beta1 of", beta1, &s.beta1),
        difference("a beta2 of", beta2, &s.beta2),
        difference("an epsilon of AdamW of", adam_epsilon, &s.adam_epsilon),
        difference("a seed of", seed, &s.seed),
    ];
    if *objective != s.objective {
        refused.push("another objective, or other settings of it".to_owned());
    }
    if *roll_outs != s.roll_outs {
        refused.push("other rewards, or other settings of roll-outs".to_owned());
    }
    refused.extend(fixed.into_iter().flatten().map(|(name, before, now)| format!("{name} {before} (now {now})")));
    let schedule = [
        difference("the number of steps", steps, &s.steps),
        difference("the learning rate", learning_rate, &s.learning_rate),
        difference("the final learning rate", min_learning_rate, &s.min_learning_rate),
        difference("the number of warmup steps", warmup, &s.warmup),
    ];
    allowed.extend(schedule.into_iter().flatten().map(|(name, before, now)| format!("{name} was {before} and is now {now}")));
    if *strategy != s.strategy {
        allowed.push("the strategy is another one, with bit-identical results".to_owned());
    }
    (refused, allowed)
}

fn difference<T: PartialEq + ToString>(name: &'static str, before: &T, now: &T) -> Option<(&'static str, String, String)> {
    (before != now).then(|| (name, before.to_string(), now.to_string()))
}

/// The fields in which two configurations differ, by their names in `config.json`.
fn differing_fields(before: &Config, now: &Config) -> Vec<String> {
    let fields = |config: &Config| -> Map<String, Value> { serde_json::from_str(&config.to_json()).expect("it was just written") };
    let (before, now) = (fields(before), fields(now));
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    let shown = |value: Option<&Value>| value.map_or("not set".to_owned(), Value::to_string);
    let differs = names.filter(|name| before.get(*name) != now.get(*name));
    differs.map(|name| format!("{name} {}, now {}", shown(before.get(name)), shown(now.get(name)))).collect()
}

fn read_run(json: &str) -> std::result::Result<RunId, Box<dyn std::error::Error>> {
    let mut run: Value = serde_json::from_str(json)?;
    // Earlier versions of this program stored the model as the text of its config.json.
    if let Some(config) = run.pointer_mut("/spec/config")
        && let Value::String(text) = config
    {
        *config = serde_json::to_value(Config::from_json(text)?)?;
    }
    Ok(serde_json::from_value(run)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PRESETS;
    use crate::step::Strategy;

    fn run(settings: Settings) -> RunId {
        RunId { settings, data: u64::MAX, spec: ModelSpec::from(&PRESETS[0].config), frozen: None }
    }

    #[test]
    fn what_a_resumed_run_changes_is_allowed_or_refused_by_name() {
        let before = run(Settings::default());
        let refused = |now: &RunId| changes(&before, now).0.join(" and ");
        let config = Config { num_hidden_layers: 9, ..before.spec.config.clone() };
        assert!(refused(&RunId { spec: ModelSpec::from(&config), ..before.clone() }).contains("num_hidden_layers"));
        assert_eq!(refused(&RunId { data: 1, ..before.clone() }), "other data");
        assert_eq!(refused(&run(Settings { seed: 7, ..Settings::default() })), "a seed of 0 (now 7)");
        let with_frozen = RunId { frozen: Some(1), ..before.clone() };
        assert_eq!(changes(&with_frozen, &RunId { frozen: Some(2), ..before.clone() }).0, ["other base weights"]);

        let now = run(Settings { steps: 2000, learning_rate: 1e-4, strategy: Strategy::CHECKPOINT, ..Settings::default() });
        let (refused, allowed) = changes(&before, &now);
        assert!(refused.is_empty());
        assert_eq!(allowed[..2], ["the number of steps was 1000 and is now 2000", "the learning rate was 0.003 and is now 0.0001"]);
        assert!(allowed[2].contains("strategy"));
    }

    #[test]
    fn a_run_of_an_earlier_version_is_the_same_run() {
        let run = run(Settings { learning_rate: 0.1 + 0.2, ..Settings::default() });
        let mut earlier = serde_json::to_value(&run).unwrap();
        earlier["spec"]["config"] = run.spec.config.to_json().into();
        assert_eq!(read_run(&earlier.to_string()).unwrap(), run);
        assert_eq!(read_run(&serde_json::to_string(&run).unwrap()).unwrap(), run);
    }
}
