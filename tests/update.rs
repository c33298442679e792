//! Whole training steps, from several batches to new weights, on the device against f64.

use streambp::model::{Dtype, ModelSpec, Projection};
use streambp::step::update::{AdamWParams, metrics};
use streambp::step::{Batch, Pass, Program, Strategy};

use crate::support::{compare, device, model};

/// A large ε, since otherwise AdamW's first step is the sign of the gradient, which for zeros depends on rounding.
const SETTINGS: AdamWParams = AdamWParams {
    learning_rate: 0.1,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 0.01,
    weight_decay: 0.1,
    max_grad_norm: 0.3,
    bias_correction1: 0.1,
    bias_correction2: 0.05,
};

#[test]
fn weights_after_two_steps_of_two_batches() {
    check(&(&model::odd_config()).into());
}

#[test]
fn adapters_after_two_steps_with_unchanged_frozen_weights() {
    check(&model::lora(&model::odd_config(), &[Projection::Query, Projection::Down], Dtype::Bf16));
}

fn check(spec: &ModelSpec) {
    let config = &spec.config;
    let weights = model::weights(spec, 1);
    let batches: Vec<Batch> = (0..2).map(|seed| model::batch(config, &[70, 59], seed)).collect();
    let labels = batches.iter().map(Batch::label_count).sum();
    let batches: Vec<Batch> = batches.into_iter().map(|batch| batch.averaged_over(labels)).collect();
    let program = Program::train(spec, batches[0].shape.clone(), Strategy::stream(64, 64));
    let settings = bytemuck::bytes_of(&SETTINGS);

    let mut expected = model::reference_executor(&program, &weights, &batches[0]);
    let mut actual = model::device_executor(&program, device::own_tuning(), &weights, &batches[0]);
    expected.write(program.bindings.adamw_params, settings);
    actual.write(program.bindings.adamw_params, settings);
    for _ in 0..2 {
        expected.run(Pass::Clear..=Pass::Clear);
        pollster::block_on(actual.run(Pass::Clear..=Pass::Clear)).unwrap();
        for batch in &batches {
            expected.load_batch(batch);
            actual.load_batch(batch);
            expected.run(Pass::Forward..=Pass::Backward);
            pollster::block_on(actual.run(Pass::Forward..=Pass::Backward)).unwrap();
        }
        expected.run(Pass::Update..=Pass::Update);
        pollster::block_on(actual.run(Pass::Update..=Pass::Update)).unwrap();
    }
    let metrics = expected.read(program.bindings.metrics);
    assert!(metrics[metrics::SCALE] < 1.0, "the gradient is clipped: {metrics:?}");
    compare::norm("metrics", &device::read_f64(&actual, program.bindings.metrics), metrics, 1e-5).unwrap();
    for (id, parameter) in program.parameters.trainable() {
        let tensor = program.slices(id)[0].value;
        let what = format!("{} after two steps", parameter.name);
        let expected_change: Vec<f64> =
            expected.read(tensor).iter().zip(parameter.pad(weights.get(&parameter.name))).map(|(a, b)| a - f64::from(b)).collect();
        let values = device::read_f64(&actual, tensor);
        let change: Vec<f64> = values.iter().zip(parameter.pad(weights.get(&parameter.name))).map(|(a, b)| a - f64::from(b)).collect();
        compare::norm(&what, &change, &expected_change, 1e-5).unwrap();
    }
    for (id, parameter) in program.parameters.iter().filter(|(_, parameter)| !parameter.is_trainable) {
        let loaded = parameter.stored(weights.get(&parameter.name), 0..parameter.padded_rows());
        let stored = pollster::block_on(actual.read(program.slices(id)[0].value)).unwrap();
        assert!(stored == loaded, "{} was changed", parameter.name);
    }
}
