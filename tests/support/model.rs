//! Small models and batches, and steps of them in f64.

use streambp::gpu::{self, Tuning};
use streambp::model::{Config, ParameterId, Parameters, Weights};
use streambp::reference;
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, IGNORED_LABEL, Pass, Program, Strategy};

use super::{Random, device};

/// Sizes none of which is a multiple of four, with grouped queries.
pub fn odd_config() -> Config {
    Config {
        hidden_size: 10,
        intermediate_size: 13,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 6,
        vocab_size: 19,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        max_position_embeddings: 4096,
    }
}

/// Weights large enough that no part of a gradient is negligible, and norms that are not all ones.
pub fn weights(config: &Config, seed: u64) -> Weights {
    let mut random = Random::new(seed);
    let parameters = Parameters::new(config);
    let values = parameters.iter().map(|(_, parameter)| {
        let (mean, spread) = match parameter.rows {
            None => (1.0, 0.3),
            Some(_) => (0.0, 1.0 / (parameter.cols.size() as f32).sqrt()),
        };
        random.reals(parameter.elements()).into_iter().map(|v| mean + spread * v).collect()
    });
    Weights::new(&parameters, values.collect())
}

/// Sequences of these lengths with random tokens; about one label in five is ignored.
pub fn batch(config: &Config, lengths: &[u32], seed: u64) -> Batch {
    let mut random = Random::new(seed);
    let mut token = || random.below(config.vocab_size);
    let ids: Vec<Vec<u32>> = lengths.iter().map(|&length| (0..length).map(|_| token()).collect()).collect();
    let mut random = Random::new(seed + 1);
    let mut label = || if random.below(5) == 0 { IGNORED_LABEL } else { random.below(config.vocab_size) };
    Batch::new(ids.into_iter().map(|ids| (ids.iter().map(|_| label()).collect(), ids)).map(|(labels, ids)| (ids, labels)).collect())
}

/// One step's loss and gradients in f64.
pub fn reference_step(config: &Config, weights: &Weights, batch: &Batch, strategy: Strategy) -> (f64, Vec<Vec<f64>>) {
    let program = Program::gradients(config, batch.shape.clone(), strategy);
    let mut executor = reference_executor(&program, weights, batch);
    executor.run(Pass::GRADIENTS);
    let gradients = (0..program.parameters.len()).map(|i| executor.gradient(ParameterId(i))).collect();
    (executor.read(program.bindings.metrics)[LOSS], gradients)
}

/// A program in f64, loaded. The weights of tokens are not rounded to f32.
pub fn reference_executor(program: &Program, weights: &Weights, batch: &Batch) -> reference::Executor {
    let mut executor = reference::Executor::new(program);
    executor.load_weights(weights);
    executor.load_batch(batch);
    let weight = 1.0 / batch.label_count() as f64;
    let exact: Vec<f64> = batch.labels.iter().map(|&label| if label == IGNORED_LABEL { 0.0 } else { weight }).collect();
    executor.write_f64(program.bindings.loss_weight, &exact);
    executor
}

/// What a step leaves on the device.
#[derive(Debug, PartialEq)]
pub struct DeviceStep {
    pub loss: f32,
    /// In the order of the table of parameters, in the layout of a file.
    pub gradients: Vec<Vec<f32>>,
    /// N.
    pub log_probs: Vec<f32>,
}

/// Runs a step on the device, with whatever is loaded, as far as the gradients.
pub fn device_step(executor: &mut gpu::Executor) -> DeviceStep {
    pollster::block_on(async {
        executor.run(Pass::GRADIENTS).await.unwrap();
        let loss = executor.metrics().await.unwrap()[LOSS];
        let gradients = executor.gradients().await.unwrap();
        DeviceStep { loss, gradients, log_probs: device::read(executor, executor.program().bindings.log_probs) }
    })
}

/// A program on the device, loaded.
pub fn device_executor(program: &Program, tuning: Tuning, weights: &Weights, batch: &Batch) -> gpu::Executor {
    let executor = device::executor(program, tuning);
    executor.load_weights(weights);
    executor.load_batch(batch);
    executor
}
