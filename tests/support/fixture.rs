//! Models with a batch, and what PyTorch computes for them in float64: see `tests/fixtures/README.md`.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use streambp::model::{Config, ParameterId, Parameters, Weights, open_model};
use streambp::step::{Batch, IGNORED_LABEL};

/// The name of every fixture.
pub const NAMES: [&str; 15] = [
    "gqa_untied",
    "tied_batch",
    "masked_labels",
    "odd_sizes",
    "long_rope",
    "one_token_tail",
    "short",
    "llama_bias_scaled",
    "qwen2_tied",
    "qwen3_wide_heads",
    "qwen3_tied_odd",
    "mistral_window",
    "mistral_full",
    "gemma3_window_short",
    "gemma3_softcap_long",
];

/// A fixture, read.
pub struct Fixture {
    pub config: Config,
    pub weights: Weights,
    pub batch: Batch,
    pub loss: f64,
    /// In the order of the table of parameters.
    gradients: Vec<Vec<f64>>,
}

impl Fixture {
    /// Reads the fixture of that name.
    pub fn read(name: &str) -> Fixture {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let file = |file: &str| std::fs::read(directory.join(file)).unwrap();
        let model = pollster::block_on(open_model(directory.to_str().unwrap(), 0)).unwrap();
        let config = model.config.clone();
        let parameters = Parameters::new(&config);
        let weights = pollster::block_on(Weights::read(&model, parameters.iter().map(|(_, parameter)| parameter))).unwrap();
        let expected = file("expected.safetensors");
        let expected = SafeTensors::deserialize(&expected).unwrap();
        let gradients = parameters.iter().map(|(_, p)| floats(&expected, &p.name)).collect();
        let loss = floats(&expected, "loss")[0];
        Fixture { config, weights, batch: batch(&file("batch.safetensors")), loss, gradients }
    }

    /// A parameter's gradient.
    pub fn gradient(&self, id: ParameterId) -> &[f64] {
        &self.gradients[id.0]
    }
}

/// A label of the file is the token at its own place; a label of a batch is the token to predict there, the next one.
fn batch(bytes: &[u8]) -> Batch {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let seq_len = tensors.tensor("input_ids").unwrap().shape()[1];
    let (ids, labels) = (integers(&tensors, "input_ids"), integers(&tensors, "labels"));
    let sequence = |(ids, labels): (&[i64], &[i64])| {
        let next = labels[1..].iter().chain([&-100]).map(|&label| if label == -100 { IGNORED_LABEL } else { label as u32 });
        (ids.iter().map(|&id| id as u32).collect(), next.collect())
    };
    Batch::new(ids.chunks(seq_len).zip(labels.chunks(seq_len)).map(sequence).collect())
}

fn integers(tensors: &SafeTensors, name: &str) -> Vec<i64> {
    let view = tensors.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::I64, "{name}");
    bytemuck::pod_collect_to_vec(view.data())
}

fn floats(tensors: &SafeTensors, name: &str) -> Vec<f64> {
    let view = tensors.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::F64, "{name}");
    bytemuck::pod_collect_to_vec(view.data())
}
