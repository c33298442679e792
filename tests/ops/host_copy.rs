//! Layer inputs that are offloaded to the host: bit-identical to saving them on the device, wherever the step is interrupted.

use streambp::gpu::Executor;
use streambp::model::{Config, ModelSpec, PRESETS};
use streambp::step::{Batch, BatchShape, Granularity, Limits, Pass, Plan, Program, Storage, Strategy, TensorId};
use streambp::train::{Dataset, Settings};

use crate::support::{device, model};

/// Four layers, so that every staging buffer is reused.
fn config() -> Config {
    Config { num_hidden_layers: 4, ..model::odd_config() }
}

fn executor(strategy: Strategy, batch: &Batch) -> Executor {
    let config = config();
    let program = Program::gradients(&config, batch.shape.clone(), strategy);
    model::device_executor(&program, device::own_tuning(), &model::weights(&config, 1), batch)
}

fn layer_inputs(executor: &Executor) -> Vec<Vec<f32>> {
    let is_input = |name: &str| name.rsplit('.').next() == Some("input") && !name.starts_with("layers.0.");
    let inputs = executor.program().tensors().filter(|(_, tensor)| is_input(&tensor.name)).map(|(id, _)| id);
    let first_of_layer: Vec<TensorId> = inputs.take(3).collect();
    first_of_layer.into_iter().map(|id| device::read(executor, id)).collect()
}

#[test]
fn the_host_holds_what_the_device_would() {
    let batch = model::batch(&config(), &[130, 1, 369], 2);
    let after_forward = |strategy: Strategy| {
        let mut executor = executor(strategy, &batch);
        pollster::block_on(executor.run(Pass::Clear..=Pass::Forward)).unwrap();
        let on_host = executor.program().tensors.iter().filter(|tensor| tensor.storage == Storage::Host).count();
        (layer_inputs(&executor), on_host)
    };
    let (saved, none) = after_forward(Strategy::stream(64, 64));
    let (offloaded, all) = after_forward(Strategy::stream(64, 64).offloading(true));
    assert_eq!((none, all), (0, 3));
    assert!(saved == offloaded && saved.iter().flatten().any(|&value| value != 0.0));
}

/// As in slow motion: the device completes every operation before the next one is submitted.
#[test]
fn one_instance_at_a_time_gives_the_same_bits() {
    let batch = model::batch(&config(), &[70, 80], 3);
    let strategy = Strategy::stream(64, 64).offloading(true);
    let at_once = model::device_step(&mut executor(strategy, &batch));
    let mut executor = executor(strategy, &batch);
    pollster::block_on(async {
        for instance in 0..executor.program().span(Pass::GRADIENTS).end {
            executor.run_instances(instance..instance + 1).await.unwrap();
            executor.gpu().wait().await.unwrap();
        }
        assert_eq!(executor.gradients().await.unwrap(), at_once.gradients);
    });
}

/// Several batches per step, a validation in between, and all granularities.
#[test]
fn a_run_trains_the_same_weights() {
    let config = Config { vocab_size: 256, ..config() };
    let trained = |strategy: Strategy, granularities: &[Granularity]| {
        pollster::block_on(async {
            let settings = Settings { seq_len: 150, batch: 2, accumulate: 2, strategy, ..Settings::default() };
            let dataset = Dataset::own(150).unwrap();
            let weights = model::weights(&config, 4);
            let mut trainer = model::trainer(&device::gpu(), &ModelSpec::from(&config), settings, dataset, &weights).await.unwrap();
            for &granularity in granularities {
                while trainer.advance(granularity).await.unwrap().is_none() {}
                trainer.validate().await.unwrap();
            }
            trainer.weights().await.unwrap()
        })
    };
    let steps = [Granularity::Step; 3];
    let expected = trained(Strategy::stream(64, 64), &steps);
    assert!(trained(Strategy::stream(64, 64).offloading(true), &steps) == expected);
    assert!(trained(Strategy::stream(128, 64).offloading(true), &[Granularity::Step, Granularity::Chunk, Granularity::Layer]) == expected);
}

#[test]
fn one_layer_has_nothing_to_offload() {
    let config = Config { num_hidden_layers: 1, ..PRESETS[0].config.clone() };
    let plan = |strategy| Plan::new(Program::train(&config, BatchShape::uniform(1, 1000), strategy), Limits::NONE).unwrap();
    let [saved, offloaded] = [false, true].map(|offload| plan(Strategy::stream(64, 64).offloading(offload)));
    assert_eq!((saved.peak_bytes(), offloaded.host_bytes()), (offloaded.peak_bytes(), 0));
}
