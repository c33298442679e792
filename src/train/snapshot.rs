//! Snapshots: the state from which a run can be resumed.

use safetensors::SafeTensors;
use serde_json::Value;

use super::Settings;
use crate::error::{Error, Result};
use crate::model::weights::{as_f32, f32_safetensors};
use crate::model::{Config, ModelSpec, Parameters, Weights};

/// The identity of a run: a snapshot can only be resumed if all of it is equal.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunId {
    /// The model, and which of its parameters are trainable.
    pub spec: ModelSpec,
    /// The settings.
    pub settings: Settings,
    /// The fingerprint of the dataset.
    pub data: u64,
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
}

const PREFIXES: [&str; 3] = ["", "moment1.", "moment2."];

impl Snapshot {
    /// Encodes the snapshot as a safetensors file: parameters under their names, moments with the prefixes `moment1.` and `moment2.`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parameters = Parameters::new(&self.run.spec);
        let sets = [&self.weights, &self.moments[0], &self.moments[1]];
        let tensors = PREFIXES.iter().zip(sets).flat_map(|(prefix, set)| {
            parameters.trainable().map(move |(_, p)| (format!("{prefix}{}", p.name), p.shape(), set.get(&p.name))).collect::<Vec<_>>()
        });
        let run = serde_json::to_string(&self.run).expect("a run can be written as JSON");
        f32_safetensors(tensors, &[("run", &run), ("step", &self.step.to_string())])
    }

    /// Decodes a file of [`Snapshot::to_bytes`]. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file is damaged, or not a snapshot; [`Error::Config`] if its model is invalid.
    pub fn from_bytes(path: &str, bytes: &[u8]) -> Result<Self> {
        let broken = |problem: String| Error::Checkpoint { path: path.to_owned(), problem };
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| broken(format!("is no complete safetensors file ({e}); start without --resume")))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(format!("has a broken header ({e})")))?;
        let field = |name: &str| {
            let found = header.metadata().as_ref().and_then(|m| m.get(name));
            found.ok_or_else(|| broken(format!("has no field \"{name}\", so it was not written by a training run")))
        };
        let run = read_run(field("run")?).map_err(|e| broken(format!("names a run that cannot be read ({e})")))?;
        run.spec.config.validate()?;
        let step = field("step")?.parse().map_err(|_| broken("names no valid step".to_owned()))?;
        let parameters = Parameters::new(&run.spec);
        let set = |prefix: &str| -> Result<Weights> {
            let read = |name: String, len: usize| {
                let values = file.tensor(&name).ok().and_then(|view| as_f32(&view)).filter(|values| values.len() == len);
                values.ok_or_else(|| broken(format!("lacks the tensor {name}, or has it in another shape")))
            };
            let trained = || parameters.trainable().map(|(_, parameter)| parameter);
            let values = trained().map(|p| read(format!("{prefix}{}", p.name), p.elements())).collect::<Result<Vec<_>>>()?;
            Ok(Weights::of(trained(), values))
        };
        Ok(Snapshot { run, step, weights: set(PREFIXES[0])?, moments: [set(PREFIXES[1])?, set(PREFIXES[2])?] })
    }

    /// Checks that the snapshot belongs to a run. `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the difference.
    pub fn check_run(&self, path: &str, run: &RunId) -> Result<()> {
        let other = |what: &str| {
            Err(Error::Checkpoint {
                path: path.to_owned(),
                problem: format!("is of a run with {what}; give the same as then, or another --out directory"),
            })
        };
        if self.run.spec.config != run.spec.config {
            return other("another model");
        }
        if self.run.spec != run.spec {
            return other("other adapters, or another dtype of frozen weights");
        }
        if self.run.data != run.data {
            return other("other data");
        }
        if self.run.settings != run.settings {
            return other(&format!(
                "other settings ({})",
                serde_json::to_string(&self.run.settings).expect("settings can be written as JSON")
            ));
        }
        Ok(())
    }
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

    #[test]
    fn a_run_of_an_earlier_version_is_the_same_run() {
        let spec = ModelSpec::from(&PRESETS[0].config);
        let run = RunId { settings: Settings { learning_rate: 0.1 + 0.2, ..Settings::default() }, data: u64::MAX, spec };
        let mut earlier = serde_json::to_value(&run).unwrap();
        earlier["spec"]["config"] = run.spec.config.to_json().into();
        assert_eq!(read_run(&earlier.to_string()).unwrap(), run);
        assert_eq!(read_run(&serde_json::to_string(&run).unwrap()).unwrap(), run);
    }
}
