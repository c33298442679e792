//! Fixtures: models with a batch, and the results of PyTorch and PEFT in float64. See `tests/fixtures/README.md`.

use std::path::{Path, PathBuf};

use safetensors::{Dtype as FileDtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use streambp::model::{Config, Dtype, ModelSpec, ParameterId, Parameters, Weights, WithAdapters, open_adapter, open_model};
use streambp::step::Batch;
use streambp::train::read_batch;

use super::{compare, model};

/// Fixtures with adapters.
pub const LORA_NAMES: [&str; 5] = ["lora_qwen3_odd", "lora_llama_bias", "lora_gemma3_window", "lora_mistral_packed", "lora_qwen2_layers"];

/// The names of all fixtures of whole models: every directory without an adapter.
pub fn names() -> Vec<String> {
    let all = std::fs::read_dir(path_of("")).unwrap().map(|entry| entry.unwrap().path());
    let is_whole = |path: &PathBuf| path.join("expected.safetensors").is_file() && !path.join("adapter").is_dir();
    let mut names: Vec<String> = all.filter(is_whole).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    assert!(names.len() >= 25, "{names:?}");
    names
}

fn path_of(name: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A fixture.
pub struct Fixture {
    pub config: Config,
    pub weights: Weights,
    pub batch: Batch,
    pub loss: f64,
    /// The gradients, in the order of the parameter table.
    gradients: Vec<Vec<f64>>,
}

impl Fixture {
    /// Reads the fixture of that name.
    pub fn read(name: &str) -> Fixture {
        let directory = path_of(name);
        let (config, weights) = model::stored(&directory);
        let expected = std::fs::read(directory.join("expected.safetensors")).unwrap();
        let expected = SafeTensors::deserialize(&expected).unwrap();
        let gradients = Parameters::new(&config).iter().map(|(_, p)| floats(&expected, &p.name)).collect();
        let loss = floats(&expected, "loss")[0];
        let batch = batch(&directory, &config);
        Fixture { config, weights, batch, loss, gradients }
    }

    /// The gradient of a parameter.
    pub fn gradient(&self, id: ParameterId) -> &[f64] {
        &self.gradients[id.0]
    }
}

/// A fixture with adapters.
pub struct AdapterFixture {
    pub directory: PathBuf,
    pub spec: ModelSpec,
    /// The values of the model and of its adapters.
    pub weights: Weights,
    pub batch: Batch,
    pub loss: f64,
    expected: Vec<u8>,
}

impl AdapterFixture {
    /// Reads the fixture of that name. Frozen matrices have the dtype of the file.
    pub fn read(name: &str) -> AdapterFixture {
        let directory = path_of(name);
        let (spec, weights) = pollster::block_on(async {
            let base = open_model(directory.to_str().unwrap(), 0).await.unwrap();
            let adapters = open_adapter(&directory.join("adapter"), &base.config).await.unwrap();
            let embedding = &Parameters::new(&base.config);
            let frozen = match base.stored().unwrap().dtype(embedding.get(ParameterId(0))) {
                FileDtype::BF16 => Dtype::Bf16,
                FileDtype::F16 => Dtype::F16,
                other => panic!("{name} has the dtype {other:?}"),
            };
            let spec = ModelSpec::lora(&base.config, adapters.lora().clone(), frozen).unwrap();
            let parameters = Parameters::new(&spec);
            let values = WithAdapters { base, adapters };
            let weights = Weights::read(&values, parameters.iter().map(|(_, parameter)| parameter)).await.unwrap();
            (spec, weights)
        });
        let expected = std::fs::read(directory.join("expected.safetensors")).unwrap();
        let loss = floats(&SafeTensors::deserialize(&expected).unwrap(), "loss")[0];
        let batch = batch(&directory, &spec.config);
        AdapterFixture { directory, spec, weights, batch, loss, expected }
    }

    /// An expected tensor.
    pub fn expected(&self, name: &str) -> Vec<f64> {
        floats(&SafeTensors::deserialize(&self.expected).unwrap(), name)
    }

    /// The rows of a tensor of logits that belong to the first sequence of the batch.
    pub fn first_sequence(&self, name: &str) -> Vec<f64> {
        let rows = self.batch.shape.lengths()[0] as usize;
        self.expected(name)[..rows * self.spec.config.vocab_size as usize].to_vec()
    }
}

/// A fixture of an objective: the model of another one, with settings and a batch of its own.
pub struct ObjectiveFixture<S> {
    pub name: String,
    pub spec: ModelSpec,
    pub weights: Weights,
    pub settings: S,
    /// The safetensors file of the batch.
    pub batch_file: Vec<u8>,
    expected: Vec<u8>,
}

impl<S: DeserializeOwned> ObjectiveFixture<S> {
    /// All fixtures of a directory, of which there are at least so many.
    pub fn all(directory: &str, least: usize) -> Vec<ObjectiveFixture<S>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(path_of(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort_unstable();
        assert!(paths.len() >= least, "{paths:?}");
        paths.iter().map(ObjectiveFixture::read).collect()
    }

    /// The fixture at that path in `tests/fixtures`.
    pub fn read(path: impl AsRef<Path>) -> ObjectiveFixture<S> {
        let path = path_of(path);
        let file = |name: &str| std::fs::read(path.join(name)).unwrap();
        let objective: serde_json::Value = serde_json::from_slice(&file("objective.json")).unwrap();
        let of_model = objective["model"].as_str().unwrap();
        let (spec, weights) = if LORA_NAMES.contains(&of_model) {
            let AdapterFixture { spec, weights, .. } = AdapterFixture::read(of_model);
            (spec, weights)
        } else {
            let Fixture { config, weights, .. } = Fixture::read(of_model);
            (ModelSpec::from(&config), weights)
        };
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let settings = serde_json::from_value(objective).unwrap();
        ObjectiveFixture { name, spec, weights, settings, batch_file: file("batch.safetensors"), expected: file("expected.safetensors") }
    }
}

impl<S> ObjectiveFixture<S> {
    /// An expected tensor.
    pub fn expected(&self, name: &str) -> Vec<f64> {
        floats(&SafeTensors::deserialize(&self.expected).unwrap(), name)
    }

    /// Compares gradients of the trainable parameters within a tolerance, and metrics by their names.
    pub fn check(&self, what: &str, gradients: &[Vec<f64>], tolerance: f64, metrics: &impl Serialize) {
        for ((_, parameter), gradient) in Parameters::new(&self.spec).trainable().zip(gradients) {
            compare::norm(&format!("{what} {}", parameter.name), gradient, &self.expected(&parameter.name), tolerance).unwrap();
        }
        // What the settings do not ask for is null.
        for (name, value) in serde_json::to_value(metrics).unwrap().as_object().unwrap().iter().filter(|(_, value)| !value.is_null()) {
            let expected = self.expected(name)[0];
            let error = (value.as_f64().unwrap() - expected).abs();
            assert!(error <= 1e-4 * expected.abs().max(0.1), "{what} {name}: {value}, and {expected} is expected");
        }
    }
}

fn batch(directory: &Path, config: &Config) -> Batch {
    let bytes = std::fs::read(directory.join("batch.safetensors")).unwrap();
    read_batch("batch.safetensors", &bytes, config.vocab_size).unwrap()
}

fn floats(tensors: &SafeTensors, name: &str) -> Vec<f64> {
    let view = tensors.tensor(name).unwrap();
    assert_eq!(view.dtype(), FileDtype::F64, "{name}");
    bytemuck::pod_collect_to_vec(view.data())
}
