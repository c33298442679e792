//! Small models and batches, and their steps in f64 and on the device.

use std::path::Path;

use streambp::error::Result;
use streambp::gpu::{self, Gpu, Kernels, Tuning};
use streambp::model::{
    Activation, Config, Dtype, Lora, ModelSpec, ModelType, Parameters, Projection, Role, Rope, RopeScaling, WeightSource, Weights,
    open_model,
};
use streambp::reference;
use streambp::step::update::metrics::LOSS;
use streambp::step::{Batch, BatchShape, IGNORED_LABEL, Pass, Plan, Program, Rows, SavedActivation, SavedActivations, Strategy};
use streambp::train::{Dataset, Settings, Trainer};

use super::{Random, device};

/// A configuration whose sizes are not multiples of four, with grouped queries.
pub fn odd_config() -> Config {
    Config { vocab_size: 19, rms_norm_eps: 1e-5, ..Config::llama([10, 13, 2, 4, 2, 6]) }
}

/// A configuration of every family with its special features, in odd sizes.
pub fn families() -> Vec<Config> {
    let llama3 = RopeScaling::Llama3 { factor: 4.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 60.0 };
    let scaled = Rope { theta: 100.0, scaling: llama3 };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_max_position_embeddings: 60.0,
        attention_factor: 1.3,
        beta_fast: 8.0,
        beta_slow: 1.0,
        truncate: true,
    };
    let [extended, dynamic] = [yarn, RopeScaling::Dynamic { factor: 2.0 }].map(|scaling| Rope { theta: 100.0, scaling });
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
        Config { sliding_window: 48, sliding_layers: vec![true; 2], rope: extended, local_rope: extended, ..of(ModelType::Mistral) },
        Config {
            qkv_bias: true,
            tie_word_embeddings: true,
            rope: dynamic,
            local_rope: dynamic,
            max_position_embeddings: 50,
            ..of(ModelType::Qwen2)
        },
        of(ModelType::Qwen3),
        Config { sliding_window: 24, sliding_layers: vec![true, false, true], ..gemma.clone() },
        Config { sliding_window: 100, sliding_layers: vec![false, true, true], final_logit_softcapping: Some(1.5), ..gemma },
    ]
}

/// Configurations with sliding windows: of one token, shorter than a chunk of 64, equal to it, a little longer, and several chunks long.
/// With and without QK norm, and with some layers of full attention.
pub fn windows() -> Vec<Config> {
    let of = |sliding_window| Config { sliding_window, ..families().swap_remove(1) };
    let with_norms = |sliding_window| Config { sliding_window, ..families().swap_remove(4) };
    vec![of(1), of(20), of(65), with_norms(1), with_norms(64), with_norms(130)]
}

/// Does a program hold any keys and values in rings?
pub fn has_rings(program: &Program) -> bool {
    program.tensors.iter().any(|tensor| matches!(tensor.rows, Rows::Ring(_)))
}

/// A model with adapters, whose frozen matrices have the dtype `frozen`.
pub fn lora(config: &Config, targets: &[Projection], frozen: Dtype) -> ModelSpec {
    lora_of_rank(config, 3, targets, frozen)
}

/// The same with adapters of another rank.
pub fn lora_of_rank(config: &Config, rank: u32, targets: &[Projection], frozen: Dtype) -> ModelSpec {
    ModelSpec::lora(config, Lora { rank, alpha: 7.0, use_rslora: false, targets: targets.to_vec(), layers: None }, frozen).unwrap()
}

/// The model with adapters of all projections in some layers.
pub fn lora_in(config: &Config, layers: &[u32]) -> ModelSpec {
    let layers = Some(layers.iter().copied().collect());
    ModelSpec::lora(config, Lora { rank: 3, alpha: 7.0, use_rslora: false, targets: Projection::ALL.to_vec(), layers }, Dtype::Bf16)
        .unwrap()
}

/// Strategies with selected saved activations (each alone in all layers, and some in the last layer), with offloading to the host, and with
/// adaptive chunks.
pub fn selective_strategies() -> Vec<Strategy> {
    let alone = SavedActivation::ALL.map(|activation| SavedActivations::NONE.with(activation, u32::MAX));
    let last = SavedActivations::NONE
        .with(SavedActivation::Attention, u32::MAX)
        .with(SavedActivation::KeysValues, 1)
        .with(SavedActivation::GateUp, 1)
        .with(SavedActivation::Norms, 1);
    let checkpoints = [last, SavedActivations::ALL].map(|saved| Strategy::CHECKPOINT.saving(saved));
    let offloading = [Strategy::stream(64, 64), Strategy::stream(128, 64).saving(last), Strategy::CHECKPOINT].map(|s| s.offloading(true));
    let streams = alone.into_iter().chain([last, SavedActivations::ALL]).map(|saved| Strategy::stream(128, 64).saving(saved));
    let adaptive = [Strategy::stream(64, 64), Strategy::stream(128, 64).saving(last)].map(|s| s.with_adaptive_chunks(true));
    streams.chain(checkpoints).chain(offloading).chain(adaptive).collect()
}

/// Strategies with groups of layers: of two, of three, and of all; with everything that they compose with.
pub fn grouped_strategies() -> Vec<Strategy> {
    let last = SavedActivations::NONE
        .with(SavedActivation::Attention, u32::MAX)
        .with(SavedActivation::KeysValues, 1)
        .with(SavedActivation::Mlp, 2)
        .with(SavedActivation::Norms, 1);
    let of = |strategy: Strategy| [2, 3, u32::MAX].map(|layers| strategy.with_layer_group(layers));
    let streams = [
        Strategy::stream(64, 64),
        Strategy::stream(128, 64),
        Strategy::stream(448, 64).offloading(true),
        Strategy::stream(64, 64).saving(last),
        Strategy::stream(128, 64).saving(SavedActivations::ALL),
        Strategy::stream(128, 64).saving(last).offloading(true),
        Strategy::stream(64, 64).with_adaptive_chunks(true),
        Strategy::stream(u32::MAX, 64),
    ];
    streams.into_iter().flat_map(of).collect()
}

/// Weights that are large enough that no contribution to a gradient is negligible, and norms that are not all ones.
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

/// A model in a directory: its configuration and all values.
pub fn stored(directory: &Path) -> (Config, Weights) {
    pollster::block_on(async {
        let model = open_model(directory.to_str().unwrap(), 0).await.unwrap();
        let parameters = Parameters::new(&model.config);
        let weights = Weights::read(&model, parameters.iter().map(|(_, parameter)| parameter)).await.unwrap();
        (model.config, weights)
    })
}

/// A batch of sequences of these lengths with random tokens; about one label in five is ignored.
pub fn batch(config: &Config, lengths: &[u32], seed: u64) -> Batch {
    let mut random = Random::new(seed);
    let mut token = || random.below(config.vocab_size);
    let ids: Vec<Vec<u32>> = lengths.iter().map(|&length| (0..length).map(|_| token()).collect()).collect();
    let mut random = Random::new(seed + 1);
    let mut label = || if random.below(5) == 0 { IGNORED_LABEL } else { random.below(config.vocab_size) };
    Batch::new(ids.into_iter().map(|ids| (ids.iter().map(|_| label()).collect(), ids)).map(|(labels, ids)| (ids, labels)).collect())
}

/// The loss of a step and the gradients of the trainable parameters, in f64.
pub fn reference_step(spec: impl Into<ModelSpec>, weights: &Weights, batch: &Batch, strategy: Strategy) -> (f64, Vec<Vec<f64>>) {
    let program = Program::gradients(spec, batch.shape.clone(), strategy);
    let mut executor = reference_executor(&program, weights, batch);
    executor.run(Pass::GRADIENTS);
    let gradients = program.parameters.trainable().map(|(id, _)| executor.gradient(id)).collect();
    (executor.read(program.bindings.metrics)[LOSS], gradients)
}

/// A program in f64 with weights and batch loaded. The loss weights are not rounded to f32.
pub fn reference_executor(program: &Program, weights: &Weights, batch: &Batch) -> reference::Executor {
    let mut executor = reference::Executor::new(program);
    executor.load_weights(weights);
    executor.load_batch(batch);
    let weight = 1.0 / batch.label_count() as f64;
    let exact: Vec<f64> = batch.labels.iter().map(|&label| if label == IGNORED_LABEL { 0.0 } else { weight }).collect();
    executor.write_f64(program.bindings.loss_weight, &exact);
    executor
}

/// The results of a step on the device.
#[derive(Debug, PartialEq)]
pub struct DeviceStep {
    pub loss: f32,
    /// The gradients of the trainable parameters, without padding.
    pub gradients: Vec<Vec<f32>>,
    /// The log-probabilities (N).
    pub log_probs: Vec<f32>,
}

impl DeviceStep {
    /// The bits of all results.
    pub fn bits(&self) -> Vec<u32> {
        let values = self.gradients.iter().flatten().chain(&self.log_probs).chain([&self.loss]);
        values.map(|value| value.to_bits()).collect()
    }
}

/// Runs a step on the device up to the gradients, with the loaded weights and batch.
pub fn device_step(executor: &mut gpu::Executor) -> DeviceStep {
    pollster::block_on(async {
        executor.run(Pass::GRADIENTS).await.unwrap();
        let loss = executor.metrics().await.unwrap()[LOSS];
        let gradients = executor.gradients().await.unwrap();
        DeviceStep { loss, gradients, log_probs: device::read(executor, executor.program().bindings.log_probs) }
    })
}

/// A program on the device, with weights and batch loaded.
pub fn device_executor(program: &Program, tuning: Tuning, weights: &Weights, batch: &Batch) -> gpu::Executor {
    let mut executor = device::executor(program, tuning);
    pollster::block_on(executor.load(weights)).unwrap();
    executor.load_batch(batch);
    executor
}

/// A training run on a device.
pub async fn trainer(gpu: &Gpu, spec: &ModelSpec, settings: Settings, dataset: Dataset, values: &impl WeightSource) -> Result<Trainer> {
    let shape = settings.batch_shape(&dataset);
    trainer_of(gpu, spec, settings, dataset, shape, values).await
}

/// The same on a rank, for its share of the batches.
pub async fn trainer_of(
    gpu: &Gpu,
    spec: &ModelSpec,
    settings: Settings,
    dataset: Dataset,
    shape: BatchShape,
    values: &impl WeightSource,
) -> Result<Trainer> {
    let program = Program::train_for(settings.objective, spec, shape, settings.strategy);
    let kernels = Kernels::new(gpu, Plan::new(program, gpu.limits())?)?;
    Trainer::new(kernels, settings, dataset, values).await
}
