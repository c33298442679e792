//! Small models and batches, and steps of them in f64.

use std::path::Path;

use streambp::error::Result;
use streambp::gpu::{self, Gpu, Kernels, Tuning};
use streambp::model::{
    Activation, Config, Dtype, Lora, ModelSpec, ModelType, Parameters, Projection, Role, Rope, RopeScaling, WeightSource, Weights,
    open_model,
};
use streambp::reference;
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, IGNORED_LABEL, Pass, Plan, Program, Rows, SavedActivation, SavedActivations, Strategy};
use streambp::train::{Dataset, Settings, Trainer};

use super::{Random, device};

/// Sizes none of which is a multiple of four, with grouped queries.
pub fn odd_config() -> Config {
    Config { vocab_size: 19, rms_norm_eps: 1e-5, ..Config::llama([10, 13, 2, 4, 2, 6]) }
}

/// A model of every family, with what sets it apart, in odd sizes.
pub fn families() -> Vec<Config> {
    let llama3 = RopeScaling::Llama3 { factor: 4.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 60.0 };
    let scaled = Rope { theta: 100.0, scaling: llama3 };
    let of = |model_type| Config { model_type, ..odd_config() };
    let gemma = Config {
        hidden_act: Activation::GeluTanh,
        rope: Rope { theta: 1e4, scaling: RopeScaling::Linear { factor: 8.0 } },
        local_rope: Rope::plain(100.0),
        query_pre_attn_scalar: 9.0,
        tie_word_embeddings: true,
        num_hidden_layers: 3,
        ..of(ModelType::Gemma3Text)
    };
    vec![
        Config { rope: scaled, local_rope: scaled, qkv_bias: true, output_bias: true, mlp_bias: true, ..odd_config() },
        Config { sliding_window: 48, sliding_layers: vec![true; 2], ..of(ModelType::Mistral) },
        Config { qkv_bias: true, tie_word_embeddings: true, ..of(ModelType::Qwen2) },
        of(ModelType::Qwen3),
        Config { sliding_window: 24, sliding_layers: vec![true, false, true], ..gemma.clone() },
        Config {
            sliding_window: 100,
            sliding_layers: vec![false, true, true],
            attn_logit_softcapping: Some(2.0),
            final_logit_softcapping: Some(1.5),
            ..gemma
        },
    ]
}

/// Models whose layers see no more than a window: one token, less than a chunk of 64, as much, a little more, and several of them.
/// Keys are normed or not, and some layers see everything.
pub fn windows() -> Vec<Config> {
    let of = |sliding_window| Config { sliding_window, ..families().swap_remove(1) };
    let with_norms = |sliding_window| Config { sliding_window, ..families().swap_remove(4) };
    vec![of(1), of(20), of(65), with_norms(1), with_norms(64), with_norms(130)]
}

/// Does a program keep any keys and values only for as long as they are seen?
pub fn has_rings(program: &Program) -> bool {
    program.tensors.iter().any(|tensor| matches!(tensor.rows, Rows::Ring(_)))
}

/// Adapters on a model, and how the rest lies.
pub fn lora(config: &Config, targets: &[Projection], frozen: Dtype) -> ModelSpec {
    ModelSpec::lora(config, Lora { rank: 3, alpha: 7.0, use_rslora: false, targets: targets.to_vec() }, frozen).unwrap()
}

/// Strategies that keep some of what layers compute, each thing once alone, in all layers or in the last one, and such that let the
/// inputs of layers wait on the host.
pub fn selective_strategies() -> Vec<Strategy> {
    let alone = SavedActivation::ALL.map(|keep| SavedActivations::NONE.with(keep, u32::MAX));
    let last = SavedActivations::NONE
        .with(SavedActivation::Attention, u32::MAX)
        .with(SavedActivation::KeysValues, 1)
        .with(SavedActivation::GateUp, 1)
        .with(SavedActivation::Norms, 1);
    let checkpoints = [last, SavedActivations::ALL].map(|kept| Strategy::CHECKPOINT.saving(kept));
    let offloading = [Strategy::stream(64, 64), Strategy::stream(128, 64).saving(last), Strategy::CHECKPOINT].map(|s| s.offloading(true));
    let streams = alone.into_iter().chain([last, SavedActivations::ALL]).map(|kept| Strategy::stream(128, 64).saving(kept));
    let stretched = [Strategy::stream(64, 64), Strategy::stream(128, 64).saving(last)].map(|s| s.with_adaptive_chunks(true));
    streams.chain(checkpoints).chain(offloading).chain(stretched).collect()
}

/// Weights large enough that no part of a gradient is negligible, and norms that are not all ones.
pub fn weights(spec: impl Into<ModelSpec>, seed: u64) -> Weights {
    let spec = spec.into();
    let config = &spec.config;
    let mut random = Random::new(seed);
    let parameters = Parameters::new(&spec);
    let values = parameters.iter().map(|(_, parameter)| {
        let (mean, spread) = match parameter.rows {
            None if matches!(parameter.role, Role::Bias(_)) || config.family().norms_add_one => (0.0, 0.3),
            None => (1.0, 0.3),
            Some(_) => (0.0, 1.0 / (parameter.cols.size() as f32).sqrt()),
        };
        random.reals(parameter.elements()).into_iter().map(|v| mean + spread * v).collect()
    });
    Weights::of(parameters.iter().map(|(_, parameter)| parameter), values.collect::<Vec<Vec<f32>>>())
}

/// A model in a directory, with all its values.
pub fn stored(directory: &Path) -> (Config, Weights) {
    pollster::block_on(async {
        let model = open_model(directory.to_str().unwrap(), 0).await.unwrap();
        let parameters = Parameters::new(&model.config);
        let weights = Weights::read(&model, parameters.iter().map(|(_, parameter)| parameter)).await.unwrap();
        (model.config, weights)
    })
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

/// One step's loss and the gradients of what learns, in f64.
pub fn reference_step(spec: impl Into<ModelSpec>, weights: &Weights, batch: &Batch, strategy: Strategy) -> (f64, Vec<Vec<f64>>) {
    let program = Program::gradients(spec, batch.shape.clone(), strategy);
    let mut executor = reference_executor(&program, weights, batch);
    executor.run(Pass::GRADIENTS);
    let gradients = program.parameters.trainable().map(|(id, _)| executor.gradient(id)).collect();
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
    /// Those of the parameters that learn, in the layout of a file.
    pub gradients: Vec<Vec<f32>>,
    /// N.
    pub log_probs: Vec<f32>,
}

impl DeviceStep {
    /// All of it, bit by bit.
    pub fn bits(&self) -> Vec<u32> {
        let values = self.gradients.iter().flatten().chain(&self.log_probs).chain([&self.loss]);
        values.map(|value| value.to_bits()).collect()
    }
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
    pollster::block_on(executor.load(weights)).unwrap();
    executor.load_batch(batch);
    executor
}

/// A run of training on a device.
pub async fn trainer(gpu: &Gpu, spec: &ModelSpec, settings: Settings, dataset: Dataset, values: &impl WeightSource) -> Result<Trainer> {
    let program = Program::train(spec, settings.batch_shape(&dataset), settings.strategy);
    let kernels = Kernels::new(gpu, Plan::new(program, gpu.limits())?)?;
    Trainer::new(kernels, settings, dataset, values).await
}
